"""The sealed machine in which a rehearsal runs: its walls, its services, and who ends it.

Four processes: the runner (the command line, or `relay`) calls `sandbox`, which chooses the
`engine` and forks the `supervisor`; that makes the room's `cgroup`, forks the outer process, and
maps its `users`. The outer process sets `limits`, forks process 1 in namespaces within its own, and
builds the `walls`, with a copy of the folder to `work` in. Process 1 becomes `init`, which starts
the `services`, engine and registries (`registry`, with the stand-ins of `images`), and issues their
`tokens` in threads. `scripted` is the HTTPS server of the tokens, and of what replaces a registry
for a while. `relay` is a kernel's process on the host: it passes the five channels into the room.
The kernel in the room asks `services` whether it may begin, `writes` what a cell wrote, and
`leftovers` what a page has made. `docker_config` reads the docker command's configuration, `paths`
are the places inside, `linux` are system calls. May import `settings` and `errors` alone.
"""
