"""The sealed machine in which a rehearsal runs: its walls, its services, and who ends it.

Three processes: the runner calls `sandbox`, which forks the supervisor (`supervisor`, on the host)
and through it process 1 of the room (`walls` seals it in, then `init` starts engine, registries and
token services). `relay` is a kernel's process on the host: it passes the five channels into the
room. `paths` names the places inside. May import `settings` and `errors` alone.
"""
