"""What a runbook is, and whether it is true. Runs on the host, in the command line's process.

A runbook is a pair: NAME.md, its text, and NAME.ipynb, that text with the outputs of a run. `model`
reads a pair once into plain values; `lint` finds what would make a green run prove nothing, beside
that run, and `unrun_blocks` what is not run at all; `undo` holds what a page leaves against what it
declares; `execute` runs notebooks in rooms, with nbval, whose workers load `nbval_plugin` (`masks`
are applied there, before it looks for a difference with `compare`) and start kernels by `kernel`;
`outcome` is what comes of it, and `refresh` writes it into notebooks; `evidence` is the table of
what held on which engine; `progress` is what a person sees meanwhile. May import `cell`, `room`,
`settings` and `errors`.
"""
