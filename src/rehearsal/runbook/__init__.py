"""What a runbook is, and whether it is true. Runs on the host, in the process of the command line.

A runbook is a pair: NAME.md, its text, and NAME.ipynb, the same with the outputs of a run. `model`
reads a pair once into plain values; `lint` says what is wrong before anything runs; `execute` runs
notebooks in rooms, with nbval, whose workers load `nbval_plugin`; `compare` masks what may differ;
`evidence` keeps what held on which engine. May import `cell`, `room`, `settings` and `errors`; is
imported by `cli` and `step`.
"""
