"""What is made from code and measurements, written into the pages themselves: `make generate`.

So the pages read whole on GitHub and in an editor, too. A test says when a page is out of date.
`tables` makes what is a table, `reference` what documents the code.
"""
