"""Where bash does not look at the status of a command: each rule says why a node is refused.

Each statement of a cell is sourced by itself, and what fails in a substitution ends the shell, so
only this is left: conditions, what stands left of && and ||, pipes, and words.

What is *overlooked* stands where bash ignores failures. A *question* is a command whose failing is
an answer: in a condition, or left of || (syntax.py has both). A command only *asks* if it is a test
or its like, wherever it stands.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from tree_sitter import Node

from rehearsal.cell.syntax import (
    CONDITIONS,
    assignment_of,
    content,
    is_condition_of,
    is_in,
    is_last,
    is_negated,
    is_overlooked,
    is_question,
    may_fail,
    text,
    walk,
    words,
)

FAILS = 'magic_args="--fails 1"'
_BUILTINS = """
. : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs
disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local
logout mapfile popd printf pushd pwd read readarray readonly return set shift shopt source suspend
test times trap true type typeset ulimit umask unalias unset wait
"""
BUILTINS = frozenset(_BUILTINS.split())
_TELL = {"echo", "false", "printf", "pwd", "test", "true", "["}
"""Builtins that only answer: their failure in a substitution is seen."""
_SURE = re.compile(
    r"(arch|hostname|nproc|pwd|whoami|(date|id|uname)( -\w{1,2}| [\"']?\+[^<>]*)*"
    r"|(echo|printf)( ([^<>%]|%[s%])*)?)( 2> ?/dev/null)?"
)
"""Commands that cannot fail in this form: the only ones allowed where bash ignores failures."""
_GIVEN = re.compile(
    r"\$\{?(?!\{)(\W|\d|P{2,}|\w+(\[[^]]*\])?:?[-+=]|(BASH\w*|DOCKER_\w+|E?UID|HOME|HOSTNAME|PATH"
    r"|PWD|RANDOM|SECONDS|SHELL|TMPDIR|_)\b)"
)
"""Expansions that do not fail: of what is set in each cell, with a default, and a placeholder's
stand-in, `$PPP…`.
"""
QUESTIONS = {"test", "[", "grep", "egrep", "fgrep", "zgrep", "cmp", "diff"}
"""Commands that driver.bash wraps, too, so that an error (a status above 1) is no "no" (1)."""
LOOPS = ("for_statement", "c_style_for_statement", "while_statement")
COMPOUND = (*LOOPS, "compound_statement", "subshell", "if_statement", "case_statement")
_WORKED_OUT = {"simple_expansion", "expansion", "arithmetic_expansion", "command_substitution"}
_WORKED_OUT |= {"process_substitution"}
_COMPARES = re.compile(r"\s-(eq|ne|lt|le|gt|ge)\s")
OVERLOOKED = (
    "in a condition, and left of || or &&, bash overlooks failures inside this; run it before, and"
    " test its result"
)
IN_A_WORD = (
    "a failure in this substitution could be lost; put it into a plain assignment of its own"
    " (name=$(…)) before"
)
NO_ANSWER = "in a condition, a {what} that is not there would count as a no; {instead}"


def substitution(node: Node) -> str | None:
    """Part of a word: one program with plain words. Alone in an assignment: anything."""
    assignment = assignment_of(node)
    if not is_overlooked(node):
        return None if assignment is not None or _is_simple(node) else IN_A_WORD
    if assignment is None:  # if [ "$(date +%a)" = Mon ]
        return None if _is_simple(node, sure=True) else OVERLOOKED
    # if id=$(docker images -q x)
    return None if _is_simple(node, lax=not is_question(assignment)) else OVERLOOKED


def _is_simple(node: Node, *, sure: bool = False, lax: bool = False) -> bool:
    """Whether a substitution holds one program, or a pipe of programs, with plain words.

    sure: only what cannot fail. lax: variables may stand in the words.
    """
    inner = content(node)
    if len(inner) != 1 or not (lax or not any(map(_is_worked_out, walk(inner[0])))):
        return False
    pipe = inner[0].named_children if inner[0].type == "pipeline" else inner
    return all(_SURE.fullmatch(text(one)) if sure else _is_program(one) for one in pipe)


def _is_program(node: Node) -> bool:
    if node.type == "redirected_statement":
        return _is_program(node.children[0])
    name = words(node)[0] if node.type == "command" else ""
    alone = node.type == "file_redirect" and is_in(node, "command_substitution")  # $(< file)
    return alone or (bool(name) and name not in BUILTINS - _TELL)


def _is_worked_out(node: Node) -> bool:
    """Whether a word is an expansion of what may be unset: a placeholder's stand-in is not."""
    return node.type in _WORKED_OUT and not re.fullmatch(r"\$(P{2,}|PWD|HOME)", text(node))


def list_of_commands(node: Node) -> str | None:
    """A failure that && or || hides."""
    if is_in(node, "list") or is_question(node):
        return None
    parts, only_asked = [*_parts(node)], True
    for operator, command in parts:
        # not `docker pull x || true`, but `[ -d x ] || mkdir x`
        if operator == "||" and not only_asked and not may_fail(command):
            return f"this waves a failure through; use if, or declare it ({FAILS})"
        only_asked = only_asked and _is_asking(command)
    if any(
        _is_test(one) and text(other) in ("true", ":") for (_, one), (_, other) in pairwise(parts)
    ):
        return f"nothing follows from this test; let it fail, or declare it ({FAILS})"
    operator, command = parts[-1]
    ends = operator == "||" and may_fail(command)
    if ends or is_last(node) or all(operator != "&&" for operator, _ in parts):
        return None
    return "in `a && b` in here the failure of a is lost; put them on lines of their own, or use if"


def _parts(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the commands of a list with the operator before each."""
    left, *_, operator, right = (child for child in node.children if child.type != "comment")
    if left.type == "list":
        yield from _parts(left)
    else:
        yield "", left
    yield operator.type, right


def _is_asking(node: Node) -> bool:
    """Whether a command only asks: a test, grep and its like, or whether a command is there."""
    if node.type in ("negated_command", "redirected_statement"):
        return any(map(_is_asking, node.named_children))
    if node.type == "pipeline":
        return _is_asking(node.children[-1])
    if node.type == "command":
        name, *arguments = words(node)
        return name in QUESTIONS or (name == "command" and arguments[:1] == ["-v"])
    return node.type == "test_command"


def _is_test(node: Node) -> bool:
    return node.type == "test_command" or (node.type == "command" and words(node)[0] == "test")


def pipeline(node: Node, known: frozenset[str]) -> str | None:
    """What cannot be worked out ends a part of a pipe with the status of a no."""
    if is_overlooked(node.children[-1]) and any(_may_miss(one, known) for one in walk(node)):
        return NO_ANSWER.format(what="value", instead="set it in a line before (x=…)")
    return None


def _may_miss(node: Node, known: frozenset[str]) -> bool:
    """Whether a node could fail to be worked out: arithmetic, or a variable that nothing sets."""
    if node.type not in ("simple_expansion", "expansion"):
        return node.type == "arithmetic_expansion"
    name = re.sub(r"^\W+|\b\W.*", "", text(node), flags=re.DOTALL)
    return not (_GIVEN.match(text(node)) or f"{name}=" in known)


def negation(node: Node) -> str | None:
    """A command behind ! whose answer nobody asks for."""
    whole = node.parent if node.parent is not None and is_negated(node) else node
    if is_overlooked(whole) or is_question(whole) or is_last(whole):
        return None
    return f"a command after ! can never fail in here; use if, or declare it ({FAILS})"


def compound(node: Node) -> str | None:
    """A group or a loop whose failures bash overlooks; arithmetic that could not be asked."""
    if node.children[0].type == "((":
        return NO_ANSWER.format(what="value", instead="use [ … ]") if is_question(node) else None
    if node.type in CONDITIONS and (why := condition(node)):
        return why
    body = is_in(node, "function_definition")
    return OVERLOOKED if not body and is_overlooked(node) else None


def condition(node: Node) -> str | None:
    """Several statements in a condition: only the last one's status is looked at."""
    several = sum(is_condition_of(one, node) for one in content(node)) > 1
    return OVERLOOKED if several else None


def test_command(node: Node) -> str | None:
    """A comparison with what is no number."""
    doubtful = text(node).startswith("[[") and _COMPARES.search(text(node)) and is_question(node)
    return NO_ANSWER.format(what="number", instead="use [ … ]") if doubtful else None


def redirection(node: Node) -> str | None:
    """A file that cannot be opened is no answer."""
    safe = re.fullmatch(r"\d*[<>&|]+\s*[\"']?(/dev/null|[012]|-)[\"']?", text(node))
    if safe or node.parent is None or not is_question(node.parent):
        return None
    return NO_ANSWER.format(what="file", instead="redirect before, or give the file by name")
