"""One cell of a runbook: how it is read, checked and run. Runs inside the kernel.

`magic` is the IPython extension that installs the strict `%%bash`; `bash` is a kernel's one shell
(`driver.bash` its loop), `processes` is how it ends; `options` and `syntax` read a cell; `allowed`
is the list of what it may contain; `placeholders`, `logins` and `redact` keep values and secrets
out of texts. `questions` is the terminal on which a cell's commands are answered. `rehearsal` and
`production` are the two backends, classes with the same methods, between which `magic` chooses. The
host lints cells with the same code. May import `room`, `settings`, `output` and `errors`.
"""
