"""The kernel `production`: a person's own engine, guarded and recorded. Runs in that kernel.

`guard` is the backend: it asks before each write. `allowed_cells` are the cells that it may run,
`values` what the person gives, `record` the log, `record_page` its page, and `surroundings` what
the log holds of user, text, tools and engine. `reaper` is a process of its own, which ends what a
lost kernel has left; `kernel` is IPython with a folder of its own. The command line reads records
with the same code. May import the rest of `cell`, `settings` and `errors`.
"""
