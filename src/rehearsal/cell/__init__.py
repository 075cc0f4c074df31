"""One cell of a runbook: how it is read, checked and run. Runs inside the kernel.

`magic` is the IPython extension that puts the strict `%%bash` in place; `bash` is the one shell of
a kernel (`driver.bash` its loop); `grammar` refuses what bash would overlook; `placeholders` and
`redact` keep values and secrets out of texts. `backend` says what differs between `rehearsal` and
`production`. The host reads cells with the same code, to check them before a kernel starts. May
import `room`, `settings` and `errors`.
"""
