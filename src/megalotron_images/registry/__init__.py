"""The registry over HTTPS: what it holds, and the few writes that the process needs.

`client` knows tags and manifests. It sends through layers of which each knows only the one below:
`retries(authorization(https))`. `response` holds requests, responses and the one gate for addresses
from outside, `credentials` finds the login, `grammar` reads headers and bodies, `hints` turns a
registry's words into the next step. May import `convention`, `concurrency` and `errors`.
"""
