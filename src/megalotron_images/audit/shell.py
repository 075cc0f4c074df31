"""Bash scripts, followed as far as their values are certain.

Each statement is read once, from the top: assignments change the environment, commands are handed
to `commands`, and what they print flows through pipes and `$(…)` where it is known. Where nobody
can tell which branch is taken, both are, and what they assign is either of the two.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tree_sitter import Node

from megalotron_images.audit import branches, conditions, expansions
from megalotron_images.audit.expansions import parameters, parsed, put_in_variables, text_of, word
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.texts import merged, show, unknown
from megalotron_images.audit.yaml_files import Unreadable

_WRITES = re.compile(r"\b(docker|podman|buildah)\b.*\b(push|login)\b|--push\b")
_LOCAL = re.compile(r"\blocal\b([^;\n]*)")
_NAMES = re.compile(r"(?<![\w$\"'={-])([A-Za-z_]\w*)(?=[=\s]|$)")
"""Variables that a function has for itself."""
FOLDER = "\0folder"
"""What the current folder is called among the variables."""
_DEEPEST = 50
"""Functions and substitutions within each other that are followed."""
Handler = Callable[["Shell", list[str], str], str | None]
Result = tuple[bool | None, str]
"""Whether a statement succeeds, None if nobody can tell, and what it prints."""


@dataclass
class Shell:
    """A script being followed.

    Attributes:
        run: the job whose facts are noted.
        env: the variables.
        handler: what commands do; returns what they print, None where that is unknown.
        unset: what a variable is that is set nowhere.
        has_lines: whether the script stands in the repository, line by line.
        functions: those that it has defined.
        ended: the `exit`, `return`, `break` or `continue` that it has come to.
        exits: the files at each `exit` that is no failure.
        matched: the last pattern of `=~`, and the text that was asked.
    """

    run: Run
    env: dict[str, str]
    handler: Handler
    unset: Callable[[str], str] = lambda name: unknown(f"${name}")
    has_lines: bool = True
    functions: dict[str, Node] = field(default_factory=dict)
    ended: str = ""
    exits: list[dict[str, str]] = field(default_factory=list)
    matched: tuple[str, str] = "", ""

    def __post_init__(self) -> None:
        self.first_line = self.run.place.line

    def follow(self, script: str, stdin: str = "") -> str:
        """Follow a script from its first statement to its last; return what it prints."""
        tree, before = parsed(script.encode()), len(self.run.facts)
        printed = self.statements(tree.root_node.named_children, stdin)
        self.set_files([*self.exits, *[dict(self.run.files)] * (not self.ended)])
        if tree.root_node.has_error and _WRITES.search(script) and len(self.run.facts) == before:
            self.run.doubt("a script that speaks of pushing is not understood")
        return printed

    def set_files(self, ends: list[dict[str, str]]) -> None:
        """Set the files that the job wrote to what they are after either of several branches."""
        if ends:
            self.run.files.clear()
            self.run.files.update(merged(ends))

    def statements(self, nodes: Iterable[Node], stdin: str = "") -> str:
        """Follow statements up to an end of the script; return what they print."""
        printed = ""
        for node in nodes:
            if not self.ended:
                printed += self.statement(node, stdin)[1]
        return printed

    def statement(self, node: Node, stdin: str) -> Result:
        """Follow a statement; return whether it succeeds, None if unknown, and what it prints."""
        if node.type in _STATEMENTS:
            return _STATEMENTS[node.type](self, node, stdin)
        return None, self.statements(node.named_children, stdin)

    def place(self, node: Node) -> Place:
        """Return where a node stands in its file."""
        return Place(self.run.place.file, self.first_line + node.start_point[0] * self.has_lines)

    def assign(self, name: str, value: str, node: Node) -> None:
        """Set a variable, and remember where."""
        self.env[name] = value
        self.bind(value, self.place(node))

    def bind(self, text: str, place: Place) -> None:
        """Remember where a text was defined, if that is in the repository."""
        if self.has_lines:
            self.run.bind(text, place)

    def write(self, path: str, text: str, appended: bool) -> None:
        """Note what is written to a file; a registry's login among it is one."""
        self.run.files[path] = (self.run.files.get(path, "") if appended else "") + text
        for one in (text.strip(), *(line.partition("=")[2] for line in text.splitlines())):
            self.bind(one, self.run.place)
        if re.search(r"(\.docker/config\.json|\.dockercfg|auth\.json|config\.json)$", path):
            self.handler(self, ["written-login", text], "")

    def usual(self, names: Iterable[str]) -> list[str]:
        """Return which files there are, in the current folder or else in the repository's."""
        for below in (self.env.get(FOLDER, ""), ""):
            paths = (posixpath.normpath(posixpath.join(below, one)) for one in names)
            if found := [one for one in paths if self.run.folder.has(one)]:
                return found
        return []

    def enter(self, below: str = "") -> str:
        """Change the folder in which files are looked for; return what that prints."""
        self.env[FOLDER] = posixpath.join(self.env.get(FOLDER, ""), below)
        return ""

    def find(self, name: str) -> str:
        """Return a file's name below the repository's folder; as given where it is not there."""
        return next(iter(self.usual([name])), posixpath.normpath(name))

    def read(self, path: str) -> str:
        """Return a file's text: one that the job wrote, or one of the repository."""
        if path in self.run.files:
            return self.run.files[path]
        try:
            return self.run.folder.text(self.find(path))
        except Unreadable:
            return unknown(f"the file {show(path)}")

    def substituted(self, node: Node) -> str:
        """Return what the commands in `$(…)` print; their assignments are lost."""
        self.run.depth += 1
        printed = _subshell(self, node, "")[1] if self.run.depth < _DEEPEST else ""
        self.run.depth -= 1
        return printed.rstrip("\n")


def _assignment(shell: Shell, node: Node, stdin: str) -> Result:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    if name is not None:
        text = word(shell, value) if value is not None else ""
        variable = text_of(name).partition("[")[0]
        if any(one.type == "+=" for one in node.children):
            gap = " " if value is not None and value.type == "array" else ""
            text = f"{shell.env.get(variable, '')}{gap}{text}"
        shell.assign(variable, text, node)
    return True, ""


def _unset(shell: Shell, node: Node, stdin: str) -> Result:
    shell.env |= dict.fromkeys(map(text_of, node.named_children), "")
    return True, ""


def _function(shell: Shell, node: Node, stdin: str) -> Result:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name is not None and body is not None:
        shell.functions[text_of(name)] = body
    return True, ""


def _subshell(shell: Shell, node: Node, stdin: str) -> Result:
    before = dict(shell.env)
    printed = shell.statements(node.named_children, stdin)
    shell.env, shell.ended = before, ""
    return None, printed


def _command(shell: Shell, node: Node, stdin: str) -> Result:
    before, given = dict(shell.env), list[str]()
    for child in node.named_children:
        if child.type == "variable_assignment":
            _assignment(shell, child, "")
        elif child.type == "herestring_redirect":
            stdin = f"{word(shell, child.named_children[0])}\n"
        elif child.type not in ("file_redirect", "heredoc_redirect"):
            given += expansions.words(shell, child)
    with shell.run.at(shell.place(node)):
        result = _called(shell, given, stdin)
    if given and (own := [c for c in node.named_children if c.type == "variable_assignment"]):
        names = {text_of(one.child_by_field_name("name")) for one in own}
        shell.env = {key: value for key, value in shell.env.items() if key not in names}
        shell.env |= {key: value for key, value in before.items() if key in names}
    return result


def _called(shell: Shell, words: list[str], stdin: str) -> Result:
    if not words:
        return True, ""
    if words[0] in shell.functions and shell.run.depth < _DEEPEST:
        return None, _call(shell, shell.functions[words[0]], words[1:], stdin)
    if words[0] in ("exit", "return", "break", "continue"):
        return _end(shell, words)
    if words[0] == "shift":
        count = int(words[1]) if words[1:] and words[1].isdigit() else 1
        shell.env |= parameters(shell.env.get("@", "").split()[count:])
    if words[0] in ("true", ":", "false", "shift"):
        return words[0] != "false", ""
    if words[0] in ("test", "["):
        return conditions.holds(shell, " ".join(words[1:]).removesuffix(" ]"), True), ""
    printed = shell.handler(shell, words, stdin)
    return None, unknown(f"what `{show(words[0])}` prints") if printed is None else printed


def _end(shell: Shell, words: list[str]) -> Result:
    """End the script, a function or a loop."""
    shell.ended = words[0]
    if words[0] == "exit" and words[1:] in ([], ["0"]):
        shell.exits.append(dict(shell.run.files))
    return None, ""


def _call(shell: Shell, body: Node, given: list[str], stdin: str) -> str:
    """Follow a function's body with its arguments."""
    before, shell.run.depth = dict(shell.env), shell.run.depth + 1
    shell.env |= parameters(given)
    printed = shell.statement(body, stdin)[1]
    lines = _LOCAL.findall(text_of(body))
    own = {name for line in lines for name in _NAMES.findall(line)} | parameters(()).keys()
    held = {key: value for key, value in shell.env.items() if key not in own}
    shell.env = held | {key: value for key, value in before.items() if key in own}
    shell.ended = "" if shell.ended == "return" else shell.ended
    shell.run.depth -= 1
    return printed


def _pipeline(shell: Shell, node: Node, stdin: str) -> Result:
    status, before = None, dict(shell.env)
    for child in node.named_children:
        status, stdin = shell.statement(child, stdin)
        shell.ended = ""  # each of its commands is a shell of its own
    shell.env = before
    return status, stdin


def _do_group(shell: Shell, node: Node, stdin: str) -> Result:
    printed = shell.statements(node.named_children, stdin)
    shell.ended = "" if shell.ended in ("break", "continue") else shell.ended
    return None, printed


def _redirected(shell: Shell, node: Node, stdin: str) -> Result:
    body, targets = node.child_by_field_name("body"), list[tuple[str, bool]]()
    heredocs = [one for one in node.named_children if one.type == "heredoc_redirect"]
    inside = [one for child in heredocs for one in child.named_children]
    for child in (*node.named_children, *inside):
        if child.type == "herestring_redirect":
            stdin = f"{word(shell, child.named_children[0])}\n"
        elif child.type == "heredoc_redirect":
            stdin = _heredoc(shell, child)
        elif child.type == "file_redirect":
            sign = next((one.type for one in child.children if not one.is_named), ">")
            path = word(shell, child.named_children[-1])
            if sign == "<":
                stdin = shell.read(path)
            elif sign in (">", ">>", "&>", "&>>", ">|"):
                targets.append((path, sign.endswith(">>")))
    status, printed = shell.statement(body, stdin) if body is not None else (None, "")
    for piped in (one for one in inside if one.type in ("pipeline", "command")):
        printed = shell.statement(piped, printed)[1]
    with shell.run.at(shell.place(node)):
        for path, appended in targets:
            shell.write(path, printed, appended)
    return status, "" if targets else printed


def _heredoc(shell: Shell, node: Node) -> str:
    """Return a here-document's text."""
    start = next((text_of(c) for c in node.children if c.type == "heredoc_start"), "")
    text = text_of(next((c for c in node.children if c.type == "heredoc_body"), None))
    return text if start[:1] in ("'", '"') else put_in_variables(shell, text)


_STATEMENTS: dict[str, Callable[[Shell, Node, str], Result]] = {
    "variable_assignment": _assignment,
    "unset_command": _unset,
    "function_definition": _function,
    "subshell": _subshell,
    "command": _command,
    "pipeline": _pipeline,
    "do_group": _do_group,
    "redirected_statement": _redirected,
    "list": branches.follow_list,
    "if_statement": branches.follow_if,
    "case_statement": branches.follow_case,
    "for_statement": branches.follow_for,
    "while_statement": branches.follow_while,
    "negated_command": conditions.follow_negation,
    "test_command": conditions.follow_test,
}
"""What follows each kind of statement; of others, the statements in them are followed."""
