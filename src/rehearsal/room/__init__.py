"""The sealed machine in which a rehearsal runs: its walls, its services, and who ends it.

Three processes: the runner (the command line, or `relay`) calls `sandbox`, which chooses the
`engine` and forks the `supervisor`; that forks process 1 of the room, and sets its `users` and its
`cgroup`. Process 1 seals itself in (`walls`) and becomes `init`, which starts engine and registries
(`registry`, with the stand-ins of `images`), and issues their `tokens` in threads. `scripted` is
the HTTPS server of the tokens, and of what replaces a registry for a while. `relay` is a kernel's
process on the host: it passes the five channels into the room. The kernel in the room asks `ready`
whether it may begin, `writes` what a cell wrote, and `left` what a page has made. `paths` names the
places inside, `linux` are system calls. May import `settings` and `errors` alone.
"""
