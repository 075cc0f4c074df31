"""The registry over HTTPS: what it holds, and the few writes that the process needs.

`client` speaks of tags and manifests, `transport` of requests, tokens and retries, `credentials`
finds the login, `hints` turns a registry's words into the next step. May import `convention` and
`errors`.
"""
