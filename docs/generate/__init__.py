"""Generate parts of pages from code and measurements, in the pages themselves: `make generate`.

So the pages are complete on GitHub and in an editor, too. A test fails if a page is out of date.
`tables` generates tables, `reference` documents the code.
"""
