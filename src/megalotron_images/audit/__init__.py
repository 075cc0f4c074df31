"""Whether a repository follows the image process, by its files alone.

Runs where a person or a job calls `megalotron-images audit`; it asks no network, and runs nothing
of what it reads. It may import the convention and the errors of this package, ruamel.yaml and
tree-sitter (the extra `audit`), and nothing of rehearsal.

From the bottom up: `texts` (values with unknown parts), `model` (facts and findings), `knowledge`
(tables), `yaml_files` (files with lines), `expressions`, `events` and `metadata_action` (what
GitHub and its actions make of values), `run`, `words`, `filters` and `shell` (scripts), `builders`,
`releasers`, `scripts`, `commands` and `actions` (what pushes), `workflows`, `other_ci` and `deploy`
(where that stands), `references` and `rules` (what the process says of it), `report`, `repository`,
`verb`.
"""
