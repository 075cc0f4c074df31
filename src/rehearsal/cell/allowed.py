"""What a shell cell may contain: one list. What is not on it is refused, with what to write instead.

A form is on the list only where bash, as driver.bash runs it, sees each failure inside it. So a
cell that ends well means that every one of its commands did.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten

from tree_sitter import Node

from rehearsal.cell.syntax import (
    Script,
    ancestors,
    child_of,
    content,
    in_condition,
    inside,
    is_condition_of,
    is_in,
    line_of,
    places,
    steps_up,
    text,
    walk,
    words,
)
from rehearsal.errors import Wrong

OTHER_SHELLS = ("sh", "script", "system", "sx", "!", "perl", "ruby")
OTHER_SHELLS += ("python", "python2", "python3", "pypy")
"""IPython's magics that start another program, which nothing would check."""
_WORD = "word number string raw_string ansi_c_string concatenation simple_expansion expansion"
_WORD += " arithmetic_expansion command_substitution brace_expression $ == comment"
_STATEMENT = "command pipeline redirected_statement test_command variable_assignment comment ; \n"
_STATEMENT += " variable_assignments declaration_command unset_command for_statement if_statement"
_LIST = {
    "program": f"{_STATEMENT} list negated_command subshell",
    "list": f"&& list negated_command {_STATEMENT}",
    "negated_command": "! command test_command",
    "subshell": f"( ) list {_STATEMENT}",
    "for_statement": f"for variable_name in do_group ; {_WORD}",
    "do_group": f"do done {_STATEMENT}",
    "if_statement": f"if then fi elif_clause else_clause negated_command {_STATEMENT}",
    "elif_clause": f"elif then negated_command {_STATEMENT}",
    "else_clause": f"else {_STATEMENT}",
    "pipeline": "| |& command redirected_statement pipeline",
    "redirected_statement": "file_redirect herestring_redirect heredoc_redirect list subshell"
    f" negated_command {_STATEMENT}",
    "heredoc_redirect": "<< <<- heredoc_start heredoc_body heredoc_end file_redirect pipeline",
    "command": f"command_name variable_assignment file_redirect herestring_redirect {_WORD}",
    "command_name": "word string concatenation simple_expansion expansion",
    "declaration_command": "export readonly variable_name variable_assignment",
    "command_substitution": "$( ` ) command redirected_statement pipeline",
    "test_command": f"[ ] [[ ]] {_WORD} binary_expression unary_expression"
    " parenthesized_expression",
}
"""What may stand directly in a form, where that is not made of words alone."""
_IN_WORDS = f"""
{_WORD} string_content variable_name special_variable_name regex extglob_pattern array subscript
test_operator binary_expression unary_expression parenthesized_expression postfix_expression
ternary_expression variable_assignment heredoc_content file_descriptor
""".split()
_OWN = re.compile(
    r"\b(rehearsal_\w|(BASH_(?!VERSI)\w+|BASHOPTS|FUNCNEST|POSIXLY_CORRECT|SHELLOPTS)\b)"
)
_NAME = re.compile(r"\[|:|[\w.~/][\w.+/-]*")
_EXPANSION = re.compile(
    r"\$\{#?\w+(\[[^]]+\])?(:?[-=+?].*|[#%/:][^-]*|\^\^?|,,?)?\}", re.DOTALL
)
_VARIABLE = re.compile(r"\$(?!(P{2,}|HOME|PWD)$).*", re.DOTALL)
"""An expansion, unless it stands for a placeholder or is set in each cell."""
_HARMLESS = re.compile(r"\d?(&?>{1,2}|>&|<)\s*(/dev/null|[12])")
_NO_TEST = re.compile(r"\[\[.*(\s-(eq|ne|lt|le|gt|ge)\s|=~|[*?[]).*\]\]", re.DOTALL)
_ASKS = re.compile(r"(test|grep|cmp|diff|command -v)( .*|$)")
_REFUSED = """
\\. alias bg bind break builtin caller command(?!.-v) compgen complete compopt continue coproc
declare dirs disown enable eval exec exit fc fg flock getopts hash help history jobs let local logout
mapfile nohup readarray return runuser script set setsid shift shopt source su suspend times trap
typeset ulimit unalias wait watch
"""
_STARTED = (
    r"(?:\S*/)?(?:sudo|doas|env|xargs|nice|ionice|stdbuf|time|timeout|chroot)"
    r"(?: -\S+(?: [^\s-]\S*)?| \w+=\S*| [\d.]+[smhd]?)* "
    r"|(?:docker|podman|nerdctl|kubectl)(?: \S+)*? (?:run|exec)(?: -\S+(?: [^\s-]\S*)?)* \S+(?: --)? "
)
"""Words behind which a program can stand."""
_SHELL = r"(?:(?:\S+ )*\S*[ /=]|^)(?:(?:ba|da|z|a|k|mk|fi|c)?sh|\$\{?(?:SHELL|BASH)\}?)"
_SHELL += r"(?: -\w*[oO] \S+| --(?:rcfile|init-file) \S+| [-+]\S*)*"
_TAKES_WORDS = r"(?!(?:\[|apk|apt|apt-get|cat|command|echo|git|grep|ls|pip|printf|tar|test|which) )"
_TEXT = "a shell that is given a text goes on after a failure; write it into the cell, or a file"
_COMMANDS = (
    (
        rf"(?:{_STARTED})*(?:\S*/)?(?:{'|'.join(_REFUSED.split())})(?: .*)?",
        "this would change or leave the shell that looks for failures; leave it out",
    ),
    (r"(?:.*[ /])?env(?: -\S+| \w+=\S*)* -(?:[^- ]*S|-s).*", "write the words without `-S`"),
    (
        r"(?:.*[ /])?find .*-(?:exec|ok).* ;(?: .*)?",
        "find passes whatever its `-exec … ;` ends with; end it with `+`",
    ),
    (rf"{_TAKES_WORDS}{_SHELL} (?:-\w*[cs]\w*|--command\S*|/dev/\S+|/proc/\S+)(?: .*)?", _TEXT),
    (rf".*--entrypoint[ =](?:\S*/)?(?:ba|da|z|a|k)?sh .*-\w*c .*|(?:\S*/)?(?:ba|da|z)?sh", _TEXT),
)
"""Commands that are refused, by their words, and why."""
_FED = rf"{_TAKES_WORDS}{_SHELL}"
_LOSES_STATUS = ("list", "negated_command", "pipeline", "command_substitution")
_LOSES_SUBSTITUTIONS = ("list", "expansion", "arithmetic_expansion", "subscript")
_NO_ARITHMETIC = ("list", "command_substitution", "file_redirect", "heredoc_body")
_NO_ARITHMETIC += ("herestring_redirect",)
_ASSIGNS_MORE = ("command", "declaration_command", "variable_assignments")
_AND = "in here `a && b` could lose a failure; write two lines, or `if`"
_NOT = "in here `!` could hide a failure; write `if`"
_INSTEAD = {
    "||": '`||` hides a failure; write `if`, or declare it (magic_args="--fails 1")',
    "&&": _AND,
    "list": _AND,
    "!": _NOT,
    "negated_command": _NOT,
    "&": "what runs beside the cell could fail unseen; run it in the cell, without `&`",
    "while_statement": "a cell has no `while` or `until`; write `for`, or a program",
    "c_style_for_statement": "a cell has no such loop; write `for x in …`",
    "case_statement": "a cell has no `case`; write `if`, or a program",
    "function_definition": "a cell has no functions; write one command a line, or a program",
    "compound_statement": "a cell has no `{ …; }` or `((…))`; write `( … )`, or a line each",
    "subshell": "`( … )` is a statement of the cell by itself; write its lines without it",
    "process_substitution": "what runs in here could fail unseen; write it to a file before",
    "command_substitution": "a failure in here could be lost; write `name=$(…)` as a line before",
    "arithmetic_expansion": "an error in here could be lost; write `n=$((…))` as a line before",
}
_UNKNOWN = "this is not on the list of what a cell may contain; write it in a simpler way"
_CONDITION = (
    "a condition is one `[ … ]`, `[[ … ]]` without numbers or patterns, `test`, `grep`, `cmp`,"
    " `diff` or `command -v`; run anything else in a line before"
)
_REDIRECTED = "a file that cannot be opened would be lost here; redirect in a line before"


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
    done = subprocess.run(
        ["bash", "-n"], input=script.text, capture_output=True, text=True, check=False
    )
    if done.returncode or done.stderr:
        return [_syntax_error(done.stderr)]
    found = set[Finding]()
    for node in walk(script.tree):
        if why := _why_not(node):
            said = shorten(script.said(node), 60, placeholder="…")
            found.add(Finding(node.start_point.row + 1, f"`{said}`: {why}"))
    for match in _OWN.finditer(script.text):
        found.add(Finding(line_of(match), f"`{match[0]}`: such names are the shell's own"))
    for match in re.finditer(r"(?<!\\)(`|\$\((?!\())", script.text):
        node = script.node_at(match)  # what the tree shows as text, nobody has read
        if (not node or node.type != match[0]) and not places(node) & {"literal", "comment"}:
            why = f"`{match[0]}`: {_INSTEAD['command_substitution']}"
            found.add(Finding(line_of(match), why))
    return sorted(found, key=lambda one: (one.line, one.why))


def _syntax_error(said: str) -> Finding:
    first = said.strip().splitlines()[0]
    _, _, rest = first.partition("line ")
    line, _, message = rest.partition(": ")
    return Finding(int(line) if line.isdigit() else 1, message or first)


def _why_not(node: Node) -> str | None:
    """Return why a node is refused where it stands, or None."""
    if node.parent and not _is_listed(node, node.parent):
        return _INSTEAD.get("||" if child_of(node, "||") else node.type, _UNKNOWN)
    why = None
    match node.type:
        case "list" | "negated_command" | "subshell" if not _is_statement(node):
            why = None if in_condition(node) else _INSTEAD[node.type]
        case "for_statement" | "if_statement" | "subshell" if inside(node, *_LOSES_STATUS):
            why = "loops, branches and `( … )` are statements; here bash could lose a failure"
        case "if_statement" | "elif_clause":
            why = _condition(node)
        case "command":
            why = _command(node)
        case "file_redirect" | "herestring_redirect" | "heredoc_redirect":
            lost = _is_asked(node) or any(map(_is_part_of_a_word, ancestors(node)))
            why = _REDIRECTED if lost and not _HARMLESS.fullmatch(text(node)) else None
        case "expansion" if not _EXPANSION.fullmatch(text(node)):
            why = "this form of `${…}` is not on the list; work it out in a line before"
        case "command_substitution":
            why = _substitution(node)
        case "arithmetic_expansion":
            lost = _is_asked(node) or inside(node, *_NO_ARITHMETIC) or "$[" in text(node)
            why = _INSTEAD[node.type] if lost else None
    return why


def _is_listed(node: Node, parent: Node) -> bool:
    if node.is_missing or node.type == "ERROR":
        return False
    if parent.type in _LIST:
        return node.type in _LIST[parent.type].split(" ")
    return not node.is_named or node.type in _IN_WORDS


def _is_statement(node: Node) -> bool:
    """Whether a node is a statement of the cell, or a list at the end of its `( … )`."""
    for child, parent in steps_up(node):
        if parent.type == "subshell" and node.type == "list":
            return content(parent)[-1] == child and _is_statement(parent)
        if parent.type not in ("redirected_statement", "list"):
            return parent.type == "program"
    return False


def _is_asked(node: Node) -> bool:
    """Whether a node is in a condition or behind `!`, where a failure is an answer."""
    redirected = is_in(node, "redirected_statement") and node.parent.children[0]
    negated = redirected and redirected.type == "negated_command"
    return negated or in_condition(node) or inside(node, "negated_command")


def _condition(node: Node) -> str | None:
    conditions = [child for child in content(node) if is_condition_of(child, node)]
    asked = conditions[0]
    while asked.type in ("negated_command", "redirected_statement"):
        asked = content(asked)[0]
    asks = asked.type == "command" and _ASKS.fullmatch(_said(asked))
    tests = asked.type == "test_command" and not _NO_TEST.fullmatch(text(asked))
    return None if len(conditions) == 1 and (asks or tests) else _CONDITION


def _substitution(node: Node) -> str | None:
    if len(content(node)) != 1:
        return "`$(…)` holds one command or pipe; write a line for each"
    if _is_asked(node) or inside(node, *_LOSES_SUBSTITUTIONS):
        return _INSTEAD[node.type]
    expansions = (one for one in walk(node) if one.type in ("simple_expansion", "expansion"))
    if _is_part_of_a_word(node) and any(_VARIABLE.fullmatch(text(one)) for one in expansions):
        return "here `$(…)` takes plain words only; write `name=$(…)` as a line before"
    return None


def _is_part_of_a_word(node: Node) -> bool:
    """Whether a node is a substitution that is not alone in an assignment."""
    if node.type != "command_substitution":
        return False
    outer = next(one for one in ancestors(node) if one.type not in ("string", "concatenation"))
    if outer.type != "variable_assignment" or is_in(outer, *_ASSIGNS_MORE):
        return True
    return sum(one.type == node.type for one in walk(outer)) > sum(
        one.type == node.type for one in walk(node)
    )


def _said(command: Node) -> str:
    """Return a command's words, with a space between each two."""
    return " ".join(re.sub(r"\s+|^$", "_", word) for word in words(command))


def _command(node: Node) -> str | None:
    if not _NAME.fullmatch(text(child_of(node, "command_name"))):
        return "write the name of the command as it is"
    said = _said(node)
    fed = re.fullmatch(_FED, said) and _is_fed(node)
    return _TEXT if fed else next((why for one, why in _COMMANDS if re.fullmatch(one, said)), None)


def _is_fed(node: Node) -> bool:
    """Whether a command reads a pipe, a file or a heredoc."""
    whole = node.parent if is_in(node, "redirected_statement") else node
    redirections = (text(one) for one in (*node.children, *(whole.children if whole else ())))
    behind = whole and is_in(whole, "pipeline") and whole.prev_sibling
    return bool(behind) or any(re.match(r"\d*<", one) for one in redirections)
