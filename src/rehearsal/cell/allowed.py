"""What a shell cell may contain: one list. All else is refused, with what to write instead.

A form is on the list only where bash, as driver.bash runs it, sees each failure inside it. So a
cell that ends well means that every one of its commands did.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten

from tree_sitter import Node

from rehearsal.cell import syntax
from rehearsal.cell.syntax import Script, ancestors, child_of, content, inside, is_in, text, words
from rehearsal.errors import Wrong

_FORMS = """
program comment command command_name pipeline redirected_statement heredoc_redirect heredoc_start
heredoc_body heredoc_end herestring_redirect variable_assignments declaration_command unset_command
test_command list negated_command subshell for_statement do_group if_statement elif_clause
else_clause command_substitution ; && ! ( ) for in do done if then elif else fi | |& << <<- <<< $( `
[ ] [[ ]] $ == = += export readonly unset
"""
_IN_WORDS = """
word number string string_content raw_string ansi_c_string concatenation variable_name array
simple_expansion special_variable_name expansion arithmetic_expansion brace_expression subscript
binary_expression unary_expression parenthesized_expression postfix_expression ternary_expression
test_operator regex extglob_pattern variable_assignment heredoc_content file_redirect
file_descriptor
"""
"""What words and redirections are made of; signs in them are part of the word."""
_OWN = r"\brehearsal_\w|\bBASH_(?!VERSI)\w+|\b(?:FUNCNEST|POSIXLY_CORRECT)\b"
_EXPANSION = re.compile(r"(?s)\$\{#?\w+(\[[^]]+\])?(:?[-=+?].*|[#%/:].*|\^\^?|,,?)?\}")
_VARIABLE = re.compile(r"(?s)\$(?!(P{2,}|HOME|PWD)$).*")
"""An expansion, but for a placeholder (`$PPP`), and HOME and PWD, which are always set."""
_HARMLESS = re.compile(r"\d?(&?>{1,2}|>&|<)\s*(/dev/null|[12])")
_NUMBERS_OR_PATTERNS = re.compile(r"(?s)\[\[.*(\s-(eq|ne|lt|le|gt|ge)\s|=~|[*?[]).*\]\]")
_ASKS = re.compile(r"(test|grep|cmp|diff|command -v)( .*|$)")
_NAME = re.compile(r"\[|:|[\w.~/][\w.+/-]*")
_REFUSED = """
. alias bg bind break builtin caller compgen complete compopt continue coproc declare dirs disown
enable eval exec exit fc fg flock getopts hash help history jobs let local logout mapfile nohup
readarray return runuser script set setsid shift shopt source su suspend times trap typeset ulimit
unalias wait watch
"""
_STARTERS = "sudo doas env xargs nice ionice stdbuf time timeout"
_ENGINES = "docker podman nerdctl kubectl compose run exec"
"""Words behind which a program can stand; behind the last two an image, or a container, first."""
_SHELL = r"(?!(?:\[|apk|apt|apt-get|cat|command|echo|git|grep|ls|pip|printf|tar|test|which) )"
_SHELL += r"(?:(?:\S+ )*\S*[ /=]|^)(?:(?:ba|da|z|a|k|mk|fi|c)?sh|\$\{?(?:SHELL|BASH)\}?)"
_SHELL += r"(?: -[^-\scs]*[oO] \S+| --(?:rcfile|init-file) \S+| --(?!command)\S*"
_SHELL += r"| [-+][^-\scs]*(?!\S))*+"
"""A shell and its options, behind any program but those whose arguments are never programs."""
_TEXT = "a shell that is given a text goes on after a failure; write it into the cell, or a file"
_OTHER = "this would change or leave the shell that looks for failures; leave it out"
_COMMANDS = {
    r"command(?! -v ).*": _OTHER,
    r"(?:.*[ /])?env(?: -\S+| \w+=\S*)* -(?:[^- ]*S|-s).*": "write the words without `-S`",
    r"(?:.*[ /])?find .*-(?:exec|ok).* ;(?: .*)?": "find passes what `… ;` ends with; write `+`",
    rf"{_SHELL} (?:-\w*[cs]\w*|--command\S*|/dev/\S+|/proc/\S+)(?: .*)?": _TEXT,
    r".*--entrypoint[ =](?:\S*/)?(?:ba|da|z|a|k)?sh .*-\w*c .*|(?:\S*/)?(?:ba|da|z)?sh": _TEXT,
}
"""Commands that are refused, by their words, and why."""
_INSTEAD = {
    "||": '`||` hides a failure; write `if`, or declare it (magic_args="--fails 1")',
    "&": "what runs beside the cell could fail unseen; run it in the cell, without `&`",
    "list": "in here `a && b` could lose a failure; write two lines, or `if`",
    "negated_command": "`!` takes a test, or a program by its name, as a statement; or write `if`",
    "subshell": "`( … )` is a statement of the cell by itself; write its lines without it",
    "for_statement": "a loop is `for x in …`, a statement by itself",
    "if_statement": "a condition is one `[ … ]`, `[[ … ]]` without numbers or patterns, `test`,"
    " `grep`, `cmp`, `diff` or `command -v`; run anything else in a line before",
    "file_redirect": "a file that cannot be opened would be lost here; redirect in a line before",
    "process_substitution": "what runs in here could fail unseen; write it to a file before",
    "command_substitution": "`$(…)` holds one pipe, in a word of plain words, and in a test, or"
    " beside `&&`, none; write `name=$(…)` as a line before",
    "arithmetic_expansion": "an error in here could be lost; write `n=$((…))` as a line before",
}
_INSTEAD["elif_clause"] = _INSTEAD["if_statement"]
_UNKNOWN = "a cell may not contain this; write one command a line, `for x in …`, `if`, or a program"


@dataclass(frozen=True)
class Finding:
    """Why a part of a cell is refused.

    Attributes:
        line: from 1, the magic line not counted.
        why: the words that are refused, and what to write instead.
    """

    line: int
    why: str


class Refused(Wrong):
    """A cell that must not run."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"line {finding.line}: {finding.why}" for finding in findings))
        self.findings = tuple(findings)


def findings(script: Script) -> list[Finding]:
    """Return all that a script holds and a cell may not; nothing of it is executed."""
    # its messages are read, so not in the person's language
    bash, environment = ["bash", "-n"], os.environ | {"LC_ALL": "C"}
    said = subprocess.run(
        bash, input=script.text, stderr=subprocess.PIPE, env=environment, text=True, check=False
    ).stderr
    if said:
        line, why = re.findall(r"line (\d+): (.*)", f"{said}line 1: {said}")[0]
        return [Finding(int(line), why)]
    found = set[Finding]()
    for node in syntax.walk(script.tree):
        if why := _why_not(node):
            whole = (node.type == "||" and node.parent) or node
            said = shorten(script.source_of(whole), 60, placeholder="…")
            found.add(Finding(node.start_point.row + 1, f"`{said}`: {why}"))
    # what the tree shows as text is not judged above
    for match in re.finditer(rf"(?<!\\)(?:`|\$\((?!\())|{_OWN}", script.text):
        at = script.node_at(match)
        if not (at and at.type == match[0]) and not syntax.places(at) & {"literal", "comment"}:
            why = "such names are the shell's own"
            why = _INSTEAD["command_substitution"] if match[0] in ("`", "$(") else why
            found.add(Finding(syntax.line_of(match), f"`{match[0]}`: {why}"))
    return sorted(found, key=lambda one: (one.line, one.why))


def _why_not(node: Node) -> str | None:
    """Return why a node is refused where it is, or None."""
    kinds = f"{_FORMS}{_IN_WORDS}" if node.is_named else _FORMS
    listed = node.type in kinds.split() or node.type == "\n"
    if node.is_missing or not (listed or (not node.is_named and is_in(node, *_IN_WORDS.split()))):
        return _INSTEAD.get("||" if child_of(node, "||") else node.type, _UNKNOWN)
    if node.type == "command":
        return _why_not_command(_words_of(node), node)
    allowed = node.type not in _RULES or _RULES[node.type](node)
    return None if allowed else _INSTEAD.get(node.type, _UNKNOWN)


def _is_statement(node: Node) -> bool:
    """Whether a node is a statement of the cell; what an if asks and what ends a `( … )` are."""
    for child, parent in syntax.steps_up(node):
        if parent.type == "subshell" and node.type == "list":
            return content(parent)[-1] == child and _is_statement(parent)
        joined = parent.type == "list" and node.type != "subshell"
        if parent.type != "redirected_statement" and not joined:
            return parent.type == "program" or syntax.is_condition_of(child, parent)
    return False


def _is_negation(node: Node) -> bool:
    """Whether `!` is a statement, and what it asks is there: else it could fail as missing."""
    asked = content(node)[0]
    name = words(asked)[0] if asked.type == "command" else "/"
    found = "/" not in name and name not in _STARTERS.split()
    return _is_statement(node) and (found or _is_test(asked))


def _is_branch(node: Node) -> bool:
    asked, *more = (one for one in content(node) if syntax.is_condition_of(one, node))
    while asked.type in ("negated_command", "redirected_statement"):
        asked = content(asked)[0]
    return not more and _is_test(asked) and _is_by_itself(node)


def _is_by_itself(node: Node) -> bool:
    """Whether a loop goes over words, and it or an if is no part of a list, a pipe or a `!`."""
    loop = node.type != "for_statement" or child_of(node, "in")
    return bool(loop) and not inside(node, "list", "pipeline", "negated_command")


def _is_test(node: Node) -> bool:
    if node.type == "test_command":
        return not _NUMBERS_OR_PATTERNS.fullmatch(text(node))
    return node.type == "command" and bool(_ASKS.fullmatch(_words_of(node)))


def _is_asked(node: Node) -> bool:
    """Whether a node is in a condition or behind `!`, where a failure is an answer."""
    negated = node.parent is not None and node.parent.children[0].type == "negated_command"
    return negated or syntax.in_condition(node) or inside(node, "negated_command")


def _keeps_files(node: Node) -> bool:
    """Whether a file that a redirection cannot open is noticed."""
    lost = _is_asked(node) or any(map(_is_part_of_a_word, ancestors(node)))
    return child_of(node, "&&") is None and (not lost or bool(_HARMLESS.fullmatch(text(node))))


def _keeps_failures(node: Node) -> bool:
    """Whether a failure within a substitution is noticed."""
    pipe = [one.type in ("pipeline", "command", "redirected_statement") for one in content(node)]
    evaluated = (text(one) for one in syntax.walk(node) if one.type.endswith("expansion"))
    variables = any(map(_VARIABLE.fullmatch, evaluated)) and _is_part_of_a_word(node)
    lost = inside(node, "list", "expansion", "arithmetic_expansion", "subscript")
    return pipe == [True] and not (variables or lost or _is_asked(node))


def _is_part_of_a_word(node: Node) -> bool:
    """Whether a node is a substitution that is not alone in an assignment."""
    if node.type != "command_substitution":
        return False
    whole, *around = ancestors(node)
    if whole.type == "string" and len(content(whole)) == 1:
        whole, *around = around
    more = ("command", "declaration_command", "variable_assignments")
    return whole.type != "variable_assignment" or around[0].type in more


def _words_of(command: Node) -> str:
    """Return a command's words, with one space between each two."""
    return " ".join(re.sub(r"\s+|^$", "_", word) for word in words(command))


def _why_not_command(said: str, node: Node) -> str | None:
    if not _NAME.fullmatch(text(child_of(node, "command_name"))):
        return "write the name of the command as it is"
    whole = node.parent if is_in(node, "redirected_statement") else node
    redirections = [*node.children, *(whole.children if whole else ())]
    piped = whole and is_in(whole, "pipeline") and whole.prev_sibling
    fed = piped or any(re.match(r"\d*<", text(one)) for one in redirections)
    if fed and re.fullmatch(_SHELL, said):
        return _TEXT
    if any(name in _REFUSED.split() for name in _programs(said.split(" "))):
        return _OTHER
    return next((why for one, why in _COMMANDS.items() if re.fullmatch(one, said)), None)


def _programs(said: list[str]) -> Iterator[str]:
    """Yield what can be a command's program: its own, and behind sudo the next one."""
    engine = {*said} & {"run", "exec"} and {*said} & {*_ENGINES.split()[:4]}
    leads = f"{_STARTERS} {_ENGINES}".split() if engine else _STARTERS.split()
    before, images = "", int(bool(engine))
    for word in said:
        name = word.rpartition("/")[2]
        if not re.match(r"-|\w+=|\d[\d.]*[smhd]?$", word):
            if before not in _ENGINES.split():
                yield name
            images -= name not in leads and before[:1] != "-"
            if images < 0:
                return
        before = word


_RULES: dict[str, Callable[[Node], bool]] = {
    "list": _is_statement,
    "subshell": _is_statement,
    "negated_command": _is_negation,
    "for_statement": _is_by_itself,
    **dict.fromkeys(("if_statement", "elif_clause"), _is_branch),
    **dict.fromkeys(("file_redirect", "herestring_redirect", "heredoc_redirect"), _keeps_files),
    "command_substitution": _keeps_failures,
    "expansion": lambda node: bool(_EXPANSION.fullmatch(text(node))),
    "arithmetic_expansion": lambda one: not (_is_asked(one) or inside(one, "command_substitution")),
}
"""When a form that is on the list may be where it is."""
