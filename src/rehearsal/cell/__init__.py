"""One cell of a runbook: how it is read, checked and run. Runs inside the kernel.

`magic` is the IPython extension that installs the strict `%%bash`; `bash` is a kernel's one shell
(`driver.bash` its loop); `options` and `syntax` read a cell; `allowed` is the list of what it may
contain; `placeholders` and `redact` keep values and secrets out of texts. `questions` is the
terminal on which a cell's commands are answered. `backend` is what `rehearsal` and `production`
have in common. Of the latter, `rehearsed` are the cells that it may run, `values` what the person
gives, `record` the log, `record_page` its page, `about` what it says of its surroundings, and
`lost` a process of its own, which ends what a lost production kernel has left. The host lints cells
with the same code. May import `room`, `settings` and `errors`.
"""
