"""What MkDocs calls while it builds the site, one job a file. Runs in the process of `mkdocs`.

`guides` makes pages of the executed notebooks, `tables` and `reference` put what is measured or
generated into the other pages, `values` lets readers fill in their own, `search` ranks, `theme`
mends what the theme gets wrong. May import `rehearsal` and `megalotron_images`.
"""
