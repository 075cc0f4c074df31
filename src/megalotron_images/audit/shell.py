"""Bash scripts, followed as far as their values are certain.

Each statement is read once, from the top: assignments change the environment, commands are handed
to `commands`, and what they print flows through pipes and `$(…)` where it is known. Where nobody
can tell which branch is taken, both are, and what they assign is either of the two.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from megalotron_images.audit import filters
from megalotron_images.audit.expressions import is_own_name
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.texts import either, merged, same, show, unknown, variants
from megalotron_images.audit.yaml_files import Unreadable

_parsed = cache(Parser(Language(tree_sitter_bash.language())).parse)
_EXPANSION = re.compile(r"(!?)(#?)(\w+|[@*?#])(?:\[([^\]]*)\])?(.*)", re.DOTALL)
_SIMPLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TEST = re.compile(r"(.*?)\s+(==|=|!=|=~)\s+(.*)", re.DOTALL)
_WRITES = re.compile(r"\b(docker|podman|buildah)\b.*\b(push|login)\b|--push\b")
_ASKS = re.compile(r"\b(test|e?grep|diff|cmp|which|command -v|exit|return|break|continue)\b")
"""Commands whose success is an answer, and those that end what is being followed."""
_LOCAL = re.compile(r"\blocal\b([^;\n]*)")
_NAMES = re.compile(r"(?<![\w$\"'={-])([A-Za-z_]\w*)(?=[=\s]|$)")
"""Variables that a function has for itself."""
_MOST_ITEMS = 50
Handler = Callable[["Shell", list[str], str], str | None]
Branch = tuple[bool | None, list[Node]]
"""Whether a branch is taken, None if nobody can tell, and its statements."""
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
        tree, before = _parsed(script.encode()), len(self.run.facts)
        printed = self.statements(tree.root_node.named_children, stdin)
        self._set_files([*self.exits, *[dict(self.run.files)] * (not self.ended)])
        if tree.root_node.has_error and _WRITES.search(script) and len(self.run.facts) == before:
            self.run.doubt("a script that speaks of pushing is not understood")
        return printed

    def _set_files(self, ends: list[dict[str, str]]) -> None:
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
        method: Callable[[Node, str], Result] | None = getattr(self, f"_follow_{node.type}", None)
        if method:
            return method(node, stdin)
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

    def _follow_variable_assignment(self, node: Node, stdin: str) -> Result:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None:
            text = self.word(value) if value is not None else ""
            variable = _text(name).partition("[")[0]
            if any(one.type == "+=" for one in node.children):
                gap = " " if value is not None and value.type == "array" else ""
                text = f"{self.env.get(variable, '')}{gap}{text}"
            self.assign(variable, text, node)
        return True, ""

    def _follow_unset_command(self, node: Node, stdin: str) -> Result:
        self.env |= dict.fromkeys(map(_text, node.named_children), "")
        return True, ""

    def _follow_function_definition(self, node: Node, stdin: str) -> Result:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self.functions[_text(name)] = body
        return True, ""

    def _follow_subshell(self, node: Node, stdin: str) -> Result:
        before = dict(self.env)
        printed = self.statements(node.named_children, stdin)
        self.env, self.ended = before, ""
        return None, printed

    def _follow_command(self, node: Node, stdin: str) -> Result:
        before, words = dict(self.env), list[str]()
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._follow_variable_assignment(child, "")
            elif child.type == "herestring_redirect":
                stdin = f"{self.word(child.named_children[0])}\n"
            elif child.type not in ("file_redirect", "heredoc_redirect"):
                words += self.words(child)
        with self.run.at(self.place(node)):
            result = self._called(words, stdin)
        if words and (own := [c for c in node.named_children if c.type == "variable_assignment"]):
            names = {_text(one.child_by_field_name("name")) for one in own}
            self.env = {key: value for key, value in self.env.items() if key not in names}
            self.env |= {key: value for key, value in before.items() if key in names}
        return result

    def _called(self, words: list[str], stdin: str) -> Result:
        if not words:
            return True, ""
        if words[0] in self.functions and self.run.depth < _MOST_ITEMS:
            return None, self.call(self.functions[words[0]], words[1:], stdin)
        if words[0] in ("exit", "return", "break", "continue"):
            self.ended = words[0]
            if words[0] == "exit" and words[1:] in ([], ["0"]):
                self.exits.append(dict(self.run.files))
        if words[0] == "shift":
            count = int(words[1]) if words[1:] and words[1].isdigit() else 1
            self.env |= parameters(self.env.get("@", "").split()[count:])
        if words[0] in ("true", ":", "false"):
            return words[0] != "false", ""
        if words[0] in ("test", "["):
            return self.test(" ".join(words[1:]).removesuffix(" ]"), quoted=True), ""
        printed = self.handler(self, words, stdin)
        return None, unknown(f"what `{show(words[0])}` prints") if printed is None else printed

    def call(self, body: Node, given: list[str], stdin: str) -> str:
        """Follow a function's body with its arguments."""
        before, self.run.depth = dict(self.env), self.run.depth + 1
        self.env |= parameters(given)
        printed = self.statement(body, stdin)[1]
        own = {name for one in _LOCAL.findall(_text(body)) for name in _NAMES.findall(one)}
        own |= parameters(()).keys()
        held = {key: value for key, value in self.env.items() if key not in own}
        self.env = held | {key: value for key, value in before.items() if key in own}
        self.ended = "" if self.ended == "return" else self.ended
        self.run.depth -= 1
        return printed

    def _follow_pipeline(self, node: Node, stdin: str) -> Result:
        status, before = None, dict(self.env)
        for child in node.named_children:
            status, stdin = self.statement(child, stdin)
        self.env, self.ended = before, ""  # each of its commands is a shell of its own
        return status, stdin

    def _follow_do_group(self, node: Node, stdin: str) -> Result:
        printed = self.statements(node.named_children, stdin)
        self.ended = "" if self.ended in ("break", "continue") else self.ended
        return None, printed

    def _follow_list(self, node: Node, stdin: str) -> Result:
        left, right = node.named_children[0], node.named_children[-1]
        sign = next((c.type for c in node.children if c.type in ("&&", "||")), "&&")
        status, printed = self.statement(left, stdin)
        if node.parent and node.parent.type == "redirected_statement":
            printed = ""  # the grammar gives the list what bash gives its last command
        if status is not None and status is not (sign == "&&"):
            return status, printed
        is_test = left.type in ("test_command", "list", "negated_command")
        if status is None and (sign == "||" or is_test or _ASKS.search(_text(node))):
            return None, printed + self.perhaps([[right]], stdin)[1]
        status, more = self.statement(right, stdin)
        return status, printed + more

    def _follow_negated_command(self, node: Node, stdin: str) -> Result:
        status, printed = self.statement(node.named_children[0], stdin)
        return None if status is None else not status, printed

    def _follow_test_command(self, node: Node, stdin: str) -> Result:
        inner = re.sub(r"^\[\[?|\]?\]$", "", _text(node)).strip()
        return (None if _text(node).startswith("((") else self.test(inner)), ""

    def test(self, text: str, quoted: bool = False) -> bool | None:
        """Whether the text in `[ … ]` or `[[ … ]]` holds; None if nobody can tell."""
        for sign, settled in (("||", True), ("&&", False)):
            if sign in text:
                answers = [self.test(part.strip(), quoted) for part in text.split(sign)]
                if settled in answers:
                    return settled
                return None if None in answers else not settled
        fill: Callable[[str], str] = (lambda one: one.strip("\"'")) if quoted else self.fill
        if text.startswith("! "):
            answer = self.test(text[2:].strip(), quoted)
            return None if answer is None else not answer
        if match := re.fullmatch(r"-([nz])\s+(.*)", text, re.DOTALL):
            value = fill(match[2])
            is_empty = same(value, "") if value else True
            return None if is_empty is None else is_empty is (match[1] == "z")
        return self.comparison(match, fill) if (match := _TEST.fullmatch(text)) else None

    def comparison(self, match: re.Match[str], fill: Callable[[str], str]) -> bool | None:
        """Whether a comparison of two words holds; None if nobody can tell."""
        if match[2] == "=~":
            self.matched = self._filled(match[3].strip("\"'")), fill(match[1])
            return filters.matches(*self.matched)
        value, pattern = fill(match[1]), fill(match[3])
        is_quoted = bool(re.fullmatch(r"\"[^\"]*\"|'[^']*'", match[3]))
        answer = _compared(value, match[2], pattern, is_quoted)
        is_own = is_own_name({value.lower(), pattern.lower()}, self.run.contexts)
        return None if answer is (match[2] == "!=") and is_own else answer

    def fill(self, text: str) -> str:
        """Return a word of a text with its variables put in."""
        found = _parsed(f"echo {text}".encode()).root_node
        command = next((c for c in found.named_children if c.type == "command"), None)
        return " ".join(self.words_of(command)[1:]) if command else unknown(text)

    def _follow_if_statement(self, node: Node, stdin: str) -> Result:
        others = [c for c in node.named_children if c.type in ("elif_clause", "else_clause")]

        def branches() -> Iterator[Branch]:
            for clause in (node, *others):
                parts = [one for one in clause.named_children if one not in others]
                is_else = clause.type == "else_clause"
                yield (True, parts) if is_else else (self.statement(parts[0], stdin)[0], parts[1:])

        return self.one_of(branches(), stdin)

    def _follow_case_statement(self, node: Node, stdin: str) -> Result:
        value = self.word(node.named_children[0])

        def branches() -> Iterator[Branch]:
            for item in node.named_children[1:]:
                patterns = item.children_by_field_name("value")
                answers = {_compared(value, "==", self.word(one), False) for one in patterns}
                holds = True if True in answers else None if None in answers else False
                yield holds, [one for one in item.named_children if one not in patterns]

        return self.one_of(branches(), stdin)

    def one_of(self, branches: Iterable[Branch], stdin: str) -> Result:
        """Follow the branches that may be taken: those up to the first that certainly is."""
        bodies, is_certain = list[list[Node]](), False
        for holds, body in branches:
            bodies += [body] * (holds is not False)
            if is_certain := bool(holds):
                break
        if is_certain and len(bodies) == 1:
            return None, self.statements(bodies[0], stdin)
        return self.perhaps(bodies, stdin, none=not is_certain) if bodies else (None, "")

    def perhaps(self, bodies: Iterable[list[Node]], stdin: str, none: bool = True) -> Result:
        """Follow branches of which nobody can tell which is taken; merge what they assign."""
        before, start, printed, how = self.env, dict(self.run.files), list[str](), ""
        ends, written = ([dict(before)], [start]) if none else ([], [])
        for body in bodies:
            self.env = dict(before)
            self._set_files([start])
            printed.append(self.statements(body, stdin))
            if not self.ended:
                ends.append(self.env)
                written.append(dict(self.run.files))
            how, self.ended = self.ended or how, ""
        self.env = merged(ends) if ends else before
        self._set_files(written)
        self.ended = "" if ends else how
        return None, either([*printed, *[""] * none]) if any(printed) else ""

    def _follow_for_statement(self, node: Node, stdin: str) -> Result:
        values = node.children_by_field_name("value")
        words = [part for one in values for word in self.words(one) for part in variants(word)]
        items = [item for word in words for item in word.split()]
        return self.each(_text(node.child_by_field_name("variable")), items, node, stdin)

    def _follow_while_statement(self, node: Node, stdin: str) -> Result:
        """Follow `while read` once for each line; another loop once."""
        head = node.named_children[0]
        match = re.search(r"\bread\s+(?:-\w+\s+)*(\w+)$", _text(head).strip())
        if letters := re.search(r"\bgetopts\s+[\"']?([\w:]+)[\"']?\s+(\w+)", _text(head)):
            return self.options(letters[1], letters[2], node.named_children[-1:])
        if re.search(r"\bshift\b", _text(node)):
            before = ""
            while (given := self.env.get("@", "")) != before:
                before = given
                self.statements(node.named_children[-1:], stdin)
            return None, ""
        if not match:
            self.statement(head, stdin)
            return self.perhaps([node.named_children[-1:]], stdin)
        lines = [one.strip() for one in stdin.splitlines() if one.strip()]
        return self.each(match[1], lines if stdin else [unknown("a line read")], node, "")

    def options(self, letters: str, name: str, body: list[Node]) -> Result:
        """Follow the body of `while getopts` for each option that is given."""
        given = iter(self.env.get("@", "").split())
        for one in given:
            has_value = f"{one[1:2]}:" in letters
            self.env |= {name: one[1:2], "OPTARG": one[2:] or (has_value and next(given, "")) or ""}
            self.statements(body)
        return None, ""

    def each(self, name: str, items: list[str], loop: Node, stdin: str) -> Result:
        """Follow the body of a loop for each item."""
        printed = ""
        if len(items) > _MOST_ITEMS:
            self.run.doubt(f"a loop over {len(items)} items: {_MOST_ITEMS} are looked at")
        for item in items[:_MOST_ITEMS]:
            self.assign(name, item, loop)
            printed += self.statements(loop.named_children[-1:], stdin)
        return None, printed

    def _follow_redirected_statement(self, node: Node, stdin: str) -> Result:
        body, targets = node.child_by_field_name("body"), list[tuple[str, bool]]()
        heredocs = [one for one in node.named_children if one.type == "heredoc_redirect"]
        inside = [one for child in heredocs for one in child.named_children]
        for child in (*node.named_children, *inside):
            if child.type == "herestring_redirect":
                stdin = f"{self.word(child.named_children[0])}\n"
            elif child.type == "heredoc_redirect":
                stdin = self._heredoc(child)
            elif child.type == "file_redirect":
                sign = next((one.type for one in child.children if not one.is_named), ">")
                path = self.word(child.named_children[-1])
                if sign == "<":
                    stdin = self.read(path)
                elif sign in (">", ">>", "&>", "&>>", ">|"):
                    targets.append((path, sign.endswith(">>")))
        status, printed = self.statement(body, stdin) if body is not None else (None, "")
        for piped in (one for one in inside if one.type in ("pipeline", "command")):
            printed = self.statement(piped, printed)[1]
        with self.run.at(self.place(node)):
            for path, appended in targets:
                self.write(path, printed, appended)
        return status, "" if targets else printed

    def _heredoc(self, node: Node) -> str:
        """Return a here-document's text."""
        start = next((_text(c) for c in node.children if c.type == "heredoc_start"), "")
        text = _text(next((c for c in node.children if c.type == "heredoc_body"), None))
        return text if start[:1] in ("'", '"') else self._filled(text)

    def write(self, path: str, text: str, appended: bool) -> None:
        """Note what is written to a file; a registry's login among it is one."""
        self.run.files[path] = (self.run.files.get(path, "") if appended else "") + text
        for one in (text.strip(), *(line.partition("=")[2] for line in text.splitlines())):
            self.bind(one, self.run.place)
        if re.search(r"(\.docker/config\.json|\.dockercfg|auth\.json|config\.json)$", path):
            self.handler(self, ["written-login", text], "")

    def usual(self, names: Iterable[str]) -> list[str]:
        """Return which files there are, in the current folder or else in the repository's."""
        for below in (self.env.get("\0folder", ""), ""):
            paths = (posixpath.normpath(posixpath.join(below, one)) for one in names)
            if found := [one for one in paths if self.run.folder.has(one)]:
                return found
        return []

    def enter(self, below: str = "") -> str:
        """Change the folder in which files are looked for; return what that prints."""
        self.env["\0folder"] = posixpath.join(self.env.get("\0folder", ""), below)
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

    def words_of(self, node: Node) -> list[str]:
        """Return the words of a command."""
        return [word for child in node.named_children for word in self.words(child)]

    def words(self, node: Node) -> list[str]:
        """Return the words that a node becomes: an expansion without quotes is split."""
        if node.type == "command_name" and node.named_child_count == 1:
            return self.words(node.named_children[0])
        text, kind = _text(node), node.type
        is_split = kind in ("simple_expansion", "expansion", "command_substitution")
        is_split |= kind == "concatenation" and not re.search(r"[\"']", text)
        is_split |= kind == "string" and bool(re.fullmatch(r'"\$\{\w+\[@\]\}"|"\$@"', text))
        return self.word(node).split() if is_split else [self.word(node)]

    def word(self, node: Node) -> str:
        """Return the text that a node becomes."""
        text = _text(node)
        if node.type == "word" and "\\" not in text:
            return text
        kinds: dict[str, Callable[[], str]] = {
            "raw_string": lambda: text[1:-1],
            "ansi_c_string": lambda: text[2:-1],
            "simple_expansion": lambda: self.variable(text[1:]),
            "expansion": lambda: self.expansion(text[2:-1]),
            "command_substitution": lambda: self._substituted(node),
            "arithmetic_expansion": lambda: unknown(text),
            "process_substitution": lambda: self._process(node, text),
            "array": lambda: " ".join(self.words_of(node)),
            "command_name": lambda: "".join(map(self.word, node.children)) or text,
            "concatenation": lambda: "".join(map(self.word, node.children)),
            "string": lambda: self._string(node),
        }
        return kinds.get(node.type, lambda: re.sub(r"\\\n\s*|\\(.)", r"\1", text))()

    def _substituted(self, node: Node) -> str:
        """Return what the commands in `$(…)` print; their assignments are lost."""
        self.run.depth += 1
        printed = self._follow_subshell(node, "")[1] if self.run.depth < _MOST_ITEMS else ""
        self.run.depth -= 1
        return printed.rstrip("\n")

    def _process(self, node: Node, text: str) -> str:
        """Return a file's name for what the commands in `<(…)` print."""
        name = unknown(text)
        self.run.files[name] = self._substituted(node)
        return name

    def _string(self, node: Node) -> str:
        """Return a string in double quotes; its parts have gaps where the grammar drops spaces."""
        whole, start, parts = node.text or b"", node.start_byte, list[str]()
        at = 1
        for child in node.named_children:
            parts.append(whole[at : child.start_byte - start].decode())
            is_text = child.type == "string_content"
            parts.append(_text(child) if is_text else self.word(child))
            at = child.end_byte - start
        parts.append(whole[at:-1].decode())
        return re.sub(r"\\\n|\\([$\"\\`])", r"\1", "".join(parts))

    def variable(self, name: str) -> str:
        """Return a variable's value."""
        return self.env[name] if name in self.env else self.unset(name)

    def _filled(self, text: str) -> str:
        """Return a text with its plain variables put in."""
        return _SIMPLE.sub(lambda one: self.variable(one[1] or one[2]), text)

    def expansion(self, text: str) -> str:
        """Return what is between `${` and `}`."""
        match = _EXPANSION.fullmatch(text)
        if not match or match[2]:
            return unknown(f"${{{text}}}")
        name, at, sign = match[3], match[4] or "", match[5]
        if name == "BASH_REMATCH" and at.isdigit():
            return filters.group(*self.matched, int(at))
        value = self.variable(self.env.get(name, name) if match[1] else name)
        if at not in ("", "@", "*"):
            value = self.element(value, at)
        rest = self._filled(sign)
        if default := re.fullmatch(r":?([-=+?])(.*)", sign, re.DOTALL):
            value = self._default(name, value, default[1], default[2])
            self.env |= {name: value} if default[1] == "=" else {}
            return value
        return filters.expanded(value, rest) if rest else value

    def element(self, value: str, at: str) -> str:
        """Return an element of an array, by its number or its key."""
        at = self.fill(at)
        if at.isdigit():
            return [*value.split()[int(at) :], ""][0]
        key = f"[{at}]="
        keyed = (one.removeprefix(key) for one in value.split() if one.startswith(key))
        return next(keyed, unknown(f"the element {at}"))

    def _default(self, name: str, value: str, sign: str, text: str) -> str:
        filled = self.fill(text) if text and sign != "?" else ""
        if sign == "?":
            return value
        is_job = name not in self.env and "steps" in self.run.contexts
        is_empty = is_job or same(value, "")  # a job's variables are all in its workflow
        full, empty = (value, filled) if sign != "+" else (filled, "")
        return either([full, empty]) if is_empty is None else empty if is_empty else full


def parameters(given: Iterable[str]) -> dict[str, str]:
    """Return the positional parameters."""
    found = dict(zip("123456789", [*given, *[""] * 9], strict=False))
    return found | dict.fromkeys("@*", " ".join(given))


def _text(node: Node | None) -> str:
    return (node.text or b"").decode() if node is not None else ""


def _compared(value: str, sign: str, pattern: str, quoted: bool) -> bool | None:
    """Whether a comparison of `[[ … ]]` or `case` holds; None if nobody can tell."""
    if quoted or not re.search(r"[*?\[]", pattern):
        answer = same(value, pattern)
    else:
        answer = filters.fits(value, pattern)
    return answer if answer is None or sign != "!=" else not answer
