"""The sealed machine in which a rehearsal runs: its walls, its services, and who ends it.

Three processes: the runner (the command line, or `relay`) calls `sandbox`, which forks the
`supervisor`; that forks process 1 of the room, and sets its `users` and its `cgroup`. Process 1
seals itself in (`walls`) and becomes `init`, which starts engine, registries and token services.
`scripted` is the HTTPS server of the tokens, and of what replaces a registry for a while. `relay`
is a kernel's process on the host: it passes the five channels into the room. `left` lists what a
page has made in the room. `paths` names the places inside. May import `settings` and `errors`
alone.
"""
