"""The registry over HTTPS: what it holds, and the few writes that the process needs.

`client` speaks of tags and manifests, `transport` sends authorized requests (`tokens`) and repeats
them, `https` sends one,
`answer` is what comes back, `credentials` finds the login, `grammar` reads headers and bodies,
`hints` turns a registry's words into the next step. May import `convention` and `errors`.
"""
