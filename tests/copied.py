"""Copy each command of a built page into a terminal, as a reader does, and type what it asks.

Run in a room, in the notebooks' folder: copied.py NAME. It prints what did not end as the page
says, and, with a `-`, the commands that a reader's terminal cannot repeat: those to which a
scripted server answers.
"""

import html
import os
import re
import sys
from pathlib import Path

import pexpect

from rehearsal.cell.syntax import FORM
from rehearsal.room.engine import read_engine
from rehearsal.room.paths import ENGINE, PROJECT
from rehearsal.runbook.model import Runbook

SECONDS = 60
BLOCK = re.compile(
    r'<div class="[^"]*bash[^"]*nb-in[^"]*"><pre>(?:<span></span>)?<code>(.*?)</code>', re.S
)


def shown(name):
    """Return the commands as a built page shows them."""
    page = (PROJECT / "site" / "guide" / name / "index.html").read_text()
    return [html.unescape(re.sub("<[^>]*>", "", block)).strip() for block in BLOCK.findall(page)]


class Terminal:
    """An interactive bash."""

    def __init__(self):
        environment = os.environ | {"PS1": "$ ", "TERM": "xterm", "HISTFILE": ""}
        command = ["--noprofile", "--norc", "-i"]
        self.bash = pexpect.spawn(
            "bash", command, env=environment, encoding="utf-8", timeout=SECONDS
        )

    def paste(self, command, answers):
        """Paste a command, answer what it asks, and return its status and what was shown."""
        self.bash.send(f"\x1b[200~{command}\x1b[201~\n")
        for question, answer in answers:
            self.bash.expect(re.escape(question) + "$")
            self.bash.sendline(answer)
        self.bash.sendline('echo "status=$?"')
        self.bash.expect(r"status=(\d+)\r\n")
        return int(self.bash.match[1]), self.bash.before


def main(name):
    runbook = Runbook(Path.cwd() / f"{name}.md")
    values = {one.name: one.value for one in runbook.placeholders.values()}
    store, terminal = read_engine(ENGINE).store, Terminal()

    def fill(text):
        return FORM.sub(lambda match: values[match[1]], text)

    cells = [cell.shell for cell in runbook.text.code if cell.shell]
    pages = shown(name)
    if [cell.script.strip() for cell in cells] != pages:
        sys.exit("the page does not show the commands of the text")
    for cell, command in zip(cells, pages, strict=True):
        first = command.partition("\n")[0]
        if cell.answers or cell.store not in ("", store):
            print(f"- {first}")
            continue
        answers = [(question, fill(answer)) for question, answer in cell.asked]
        status, said = terminal.paste(fill(command), answers)
        if status != (cell.fails or 0):
            print(f"{first}: status {status}, and the page says {cell.fails or 0}: {said[-600:]}")


if __name__ == "__main__":
    main(sys.argv[1])
