"""The verbs of `megalotron-images`: each parses, calls one function, and prints.

They run in the process that a person starts, and are loaded one at a time: `cli` imports the file
of the verb that is called. Each file is a verb, its `command`. May import all of this package but
`cli` and `start`.
"""
