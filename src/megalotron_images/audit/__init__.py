"""Whether a repository follows the image process, by its files alone.

Runs where a person or a job calls `megalotron-images audit`; it asks no network, and runs nothing
of what it reads. It may import the convention and the errors of this package and PyYAML (the extra
`audit`), and nothing of rehearsal.

It reads what is certain and lists what is not: whatever may push, by a name in `mentions.toml`, and
isn't one of the listed forms is "cannot tell". No shell is interpreted, and no build file followed.
"""
