"""Whether a repository follows the image process, by its files alone.

Runs where a person or a job calls `megalotron-images audit`; it asks no network, and runs nothing
of what it reads. It may import the convention and the errors of this package, ruamel.yaml and
tree-sitter (the extra `audit`), and nothing of rehearsal.

From the bottom up: `texts` (values with unknown parts), `knowledge` (the tables of knowledge.toml),
`yaml_files` (files with lines), `model` (facts, findings, and the run of a job that notes them),
`expressions`, `events` and `metadata_action` (what GitHub and its actions make of values), `words`,
`filters`, `expansions`, `conditions`, `branches` and `shell` (scripts), `compose`, `buildx`,
`releasers`, `scripts`, `makefiles` and `commands` (what pushes), `actions`, `steps`, `workflows`,
`other_ci` and `deploy` (where that stands), `rules` (what the process says of it), `report`,
`repository`, `verb`.

One evaluator follows everything that pushes: the shell. Actions of others, and programs other than
docker and its kin, stand in knowledge.toml as the shell commands that do the same; to teach the
audit one more, add it there.
"""
