"""What MkDocs calls while it builds the site, one job a file. Runs in the process of `mkdocs`.

`guides` makes pages of the executed notebooks, `evidence` shows how old each result is, `values`
lets readers fill in their own, `search` ranks. May import `bench`, `rehearsal` and
`megalotron_images`. What is generated into the pages themselves is in `generate`.
"""
