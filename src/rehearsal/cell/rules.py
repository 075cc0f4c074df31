"""What bash and driver.bash overlook in one node of a script: a rule returns why it is refused.

Each statement of a cell is sourced by itself, and what fails in a substitution ends the shell. So
only this is left to be read: where bash does not look at a status, and what would blind it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile

from tree_sitter import Node

from rehearsal.cell.context import (
    assignment_of,
    is_last,
    is_negated,
    is_overlooked,
    is_question,
    may_fail,
)
from rehearsal.cell.syntax import CONDITIONS, ancestors, parse, text, walk, words

_FAILS = 'magic_args="--fails 1"'
_BUILTINS = """
. : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs
disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local
logout mapfile popd printf pushd pwd read readarray readonly return set shift shopt source suspend
test times trap true type typeset ulimit umask unalias unset wait
"""
BUILTINS = frozenset(_BUILTINS.split())
_TELL = {"echo", "false", "printf", "pwd", "test", "true", "["}
"""Builtins that only answer: their failure in a substitution is seen."""
_SURE = {"arch", "date", "echo", "hostname", "id", "nproc", "printf", "pwd", "uname", "whoami"}
"""Programs whose failure need not be looked at: where bash looks at none, only they may stand."""
_QUESTIONS = {"test", "[", "grep", "egrep", "fgrep", "zgrep", "cmp", "diff"}
"""What driver.bash asks in a way that a question that could not be asked is no "no"."""
_LOOPS = {"for_statement", "c_style_for_statement", "while_statement"}
_COMPOUND = {*_LOOPS, "compound_statement", "subshell", "if_statement", "case_statement"}
_APART = {"subshell", "command_substitution", "process_substitution", "pipeline"}
"""Where bash runs another process: the cell's shell does not know its jobs."""
_WORKED_OUT = {"simple_expansion", "expansion", "arithmetic_expansion", "command_substitution"}
_WORKED_OUT |= {"process_substitution"}
_SHELLS = ("sh", "bash", "dash", "zsh", "ash", "ksh", "mksh")
_LIKE_SHELLS = ("su", "runuser", "flock", "script")
"""Programs that give what stands behind -c to a shell."""
_PLAIN = {"program", "command", "command_name", "word", "number", "string", "string_content"}
_PLAIN |= {"raw_string", "comment", "concatenation", "variable_assignment", "variable_name"}
_PLAIN |= {"simple_expansion", "expansion", "special_variable_name", "redirected_statement"}
_PLAIN |= {"file_redirect", "file_descriptor"}
"""Nodes of a script for another shell in which a failure cannot be skipped."""
_TRAPS = {"EXIT", "0", "ERR", "DEBUG", "RETURN"}
_SAYS = ("echo", "printf")
_STRICT = re.compile(r"-[euE]+|-[euE]*o|errexit|nounset|pipefail|errtrace")
_COMPARES = re.compile(r"\s-(eq|ne|lt|le|gt|ge)\s")
OVERLOOKED = (
    "in a condition, and left of || or &&, bash overlooks failures inside this; run it before, and"
    " test its result"
)
IN_A_WORD = (
    "a failure in this substitution could be lost; put it into a plain assignment of its own"
    " (name=$(…)) before"
)
_WORKED_OUT_NAME = "the name of this command would be worked out; write it as it is"
_NO_ANSWER = "in a condition, a {what} that is not there would count as a no; {instead}"


def _error(node: Node) -> str:
    return "this cannot be read for certain; write it in a simpler way"


def _substitution(node: Node) -> str | None:
    """Part of a word: one program with plain words. Alone in an assignment: anything."""
    assignment = assignment_of(node)
    if is_overlooked(node):
        names = _SURE if assignment is None else None
        lax = assignment is not None and not is_question(assignment)
        return None if _is_simple(node, names, lax) else OVERLOOKED
    if assignment is not None or _is_simple(node, None):
        return None
    return IN_A_WORD


def _is_simple(node: Node, names: set[str] | None, lax: bool = False) -> bool:
    """Whether a substitution holds one program, or a pipe of programs, with plain words.

    names: the only programs allowed. lax: variables may stand in the words.
    """
    inner = [child for child in node.children if child.is_named and child.type != "comment"]
    if len(inner) != 1 or not (lax or not any(map(_is_worked_out, _below(node)))):
        return False
    pipe = inner[0].children if inner[0].type == "pipeline" else inner
    return all(_is_program(one, names) for one in pipe if one.is_named)


def _below(node: Node) -> Iterator[Node]:
    return (one for child in node.children for one in walk(child))


def _is_program(node: Node, names: set[str] | None) -> bool:
    if node.type == "redirected_statement":
        return _is_program(node.children[0], names)
    if node.type == "file_redirect":  # $(< file)
        return names is None
    name = words(node)[0] if node.type == "command" else ""
    return bool(name) and (name in names if names else name not in BUILTINS - _TELL)


def _is_worked_out(node: Node) -> bool:
    """Whether a word is an expansion of what may be unset: a placeholder's stand-in is not."""
    return node.type in _WORKED_OUT and not re.fullmatch(r"\$(P{2,}|PWD|HOME)", text(node))


def _list(node: Node) -> str | None:
    if (node.parent is not None and node.parent.type == "list") or is_question(node):
        return None
    parts = [*_parts(node)]
    for n, (operator, right) in enumerate(parts[1:], 1):
        asked = all(_is_asking(left) for _, left in parts[:n])
        if operator == "||" and not may_fail(right) and not asked:
            return f"this waves a failure through; use if, or declare it ({_FAILS})"
    ands = [n for n, (operator, _) in enumerate(parts) if operator == "&&"]
    ends = parts[-1][0] == "||" and may_fail(parts[-1][1])
    if not ands or ends or is_last(node):
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
        return any(_is_asking(child) for child in node.children if child.is_named)
    if node.type == "pipeline":
        return _is_asking(node.children[-1])
    if node.type == "command":
        name, *arguments = words(node)
        return name in _QUESTIONS or (name == "command" and arguments[:1] == ["-v"])
    return node.type == "test_command"


def _heredoc(node: Node) -> str | None:
    if any(child.is_missing for child in node.children):
        return _error(node)
    start = next(child for child in node.children if child.type == "heredoc_start")
    rest = node.text or b""
    line = rest[start.end_byte - node.start_byte :].split(b"\n", 1)[0].decode()
    if not re.search(r";|\|\||(?<!>)&(?!>)", line):
        return None
    return "what follows a heredoc on its line may hide a failure; put it on a line of its own"


def _negation(node: Node) -> str | None:
    whole = node.parent if node.parent is not None and is_negated(node, node.parent) else node
    if is_overlooked(whole) or is_question(whole) or is_last(whole):
        return None
    return f"a command after ! can never fail in here; use if, or declare it ({_FAILS})"


def _compound(node: Node) -> str | None:
    """A group or a loop whose failures bash overlooks; arithmetic that could not be asked."""
    if node.children[0].type == "((":
        return _NO_ANSWER.format(what="value", instead="use [ … ]") if is_question(node) else None
    if node.type in CONDITIONS and (why := _condition(node)):
        return why
    if node.parent is not None and node.parent.type == "function_definition":
        return None
    return OVERLOOKED if is_overlooked(node) else None


def _test_command(node: Node) -> str | None:
    doubtful = text(node).startswith("[[") and _COMPARES.search(text(node)) and is_question(node)
    return _NO_ANSWER.format(what="number", instead="use [ … ]") if doubtful else None


def _condition(node: Node) -> str | None:
    """Several statements in a condition: only the last one's status is looked at."""
    inner = [*takewhile(lambda child: child.type not in ("then", "do_group"), node.children)]
    several = [child for child in inner if child.is_named and child.type != "comment"][:-1]
    return OVERLOOKED if several else None


def _redirect(node: Node) -> str | None:
    """A file that cannot be opened is no answer."""
    statement = node.parent
    if statement is None or not is_question(statement):
        return None
    if re.fullmatch(r"\d*[<>&|]+\s*[\"']?(/dev/null|[012]|-)[\"']?", text(node)):
        return None
    return _NO_ANSWER.format(what="file", instead="redirect before, or give the file by name")


def _expansion(node: Node) -> str | None:
    if re.fullmatch(r"\$\{!?\w+(\[[^]]*\])?@P\}", text(node)):
        return "what this works out is not read for failures; write it into the cell"
    return None


def _function(node: Node) -> str | None:
    name = next((text(child) for child in node.children if child.type == "word"), "")
    taken = name in BUILTINS | _QUESTIONS or name == "command_not_found_handle"
    if taken or name.startswith("rehearsal_"):
        return f"{name} is the shell's own; give the function another name"
    return None


def _job(node: Node) -> str | None:
    """A job of another process than the cell's shell."""
    outer = [parent.type for parent in ancestors(node)]
    if "binary_expression" in outer[:1]:
        return None
    behind = [one.next_sibling for one in ancestors(node)]
    inner = any(one is not None and one.type == "&" for one in behind)
    if inner or {*outer} & {*_APART, "function_definition"}:
        return "a job started in here cannot be waited for; start it in the cell"
    return None


def _command(node: Node) -> str | None:
    name, *arguments = words(node)
    prefix = [text(child) for child in node.children if child.type == "command_name"]
    if re.search(r"[`{}*?(]", re.sub(r"\$\{\w+\}", "$", name)) or "$'" in "".join(prefix):
        return _WORKED_OUT_NAME
    if "$" in name and "/" not in name and not _is_safe_anywhere(node, arguments):
        return _WORKED_OUT_NAME
    if is_overlooked(node) and (why := _asks_badly(node, name)):
        return why
    if prefix in (["command"], ["builtin"]) and name in _QUESTIONS | {"wait"}:
        return f"this is not looked at as {name} alone is; leave out {prefix[0]}"
    program = name.rpartition("/")[2]
    if rule := _COMMANDS.get(program if program in (*_SHELLS, *_LIKE_SHELLS) else name):
        return rule(node, arguments)
    return None if name in (*_SAYS, *_QUESTIONS) else _shell_behind(node, arguments)


def _is_safe_anywhere(node: Node, arguments: list[str]) -> bool:
    """Whether a command by a variable, such as `$SUDO docker ps`, can blind nothing.

    In a statement of its own it may be anything: driver.bash looks again after it.
    """
    plain = bool(arguments) and re.match(r"[\w./]", arguments[0]) is not None
    return plain or all(
        one.type in ("program", "redirected_statement", "pipeline") for one in ancestors(node)
    )


def _asks_badly(node: Node, name: str) -> str | None:
    """Refuse what bash takes for a no though nothing was asked."""
    if name in ("eval", "source", ".") or ("$" in name and "/" not in name):
        return OVERLOOKED
    if not is_question(node):
        return None
    if "/" in name:
        return _NO_ANSWER.format(what="program", instead="put its folder on the PATH")
    if name == "let":
        return _NO_ANSWER.format(what="value", instead="use [ … ]")
    return None


def _return(node: Node, arguments: list[str]) -> str | None:
    if any(ancestor.type == "function_definition" for ancestor in ancestors(node)):
        return None
    return "a return here would skip the rest of the cell and pass"


def _leave_loop(node: Node, arguments: list[str]) -> str | None:
    inside = any(ancestor.type in _LOOPS for ancestor in ancestors(node))
    return None if inside else "there is no loop here to leave"


def _set(node: Node, arguments: list[str]) -> str | None:
    options = [*takewhile(lambda argument: argument != "--", arguments)]
    if all(map(_STRICT.fullmatch, options)):
        return None
    return f"the cell might no longer notice failures; declare an expected one ({_FAILS})"


def _shopt(node: Node, arguments: list[str]) -> str | None:
    lax = "inherit_errexit" in arguments or any(
        one.startswith("$") or (one[:1] == "-" and "o" in one) for one in arguments
    )
    return "the cell would no longer notice failures" if lax else None


def _trap(node: Node, arguments: list[str]) -> str | None:
    given = {one.upper().removeprefix("SIG") for one in arguments[1:] or arguments}
    if taken := _TRAPS & given:
        return f"the trap {', '.join(sorted(taken))} belongs to the shell that runs the cells"
    return None


def _spawner(node: Node, arguments: list[str]) -> str:
    return "what this starts would outlive the cell, or fail unseen; run it in the cell itself"


def _exec(node: Node, arguments: list[str]) -> str | None:
    alone = not arguments and not is_overlooked(node)
    return None if alone else "this would end the shell; run the program without exec"


def _unread(node: Node, arguments: list[str]) -> str:
    return "what this runs is not read for failures that it hides; write it into the cell"


def _source(node: Node, arguments: list[str]) -> str | None:
    statement = node.parent
    if statement is not None and statement.type == "redirected_statement":
        statement = statement.parent
    apart = statement is not None and statement.type in {"list", "negated_command", *_APART}
    return "source the file in a statement of its own" if apart else None


def _find(node: Node, arguments: list[str]) -> str | None:
    runs = any(argument.startswith(("-exec", "-ok")) for argument in arguments)
    lax = runs and (";" in arguments or "+" not in arguments)
    return "find passes whatever its -exec … ; ends with; end it with +" if lax else None


_LAX_SHELL = (
    "a shell in here goes on after a failure; give it one command, or -e and plain commands, or"
    " write it into the cell"
)


def _shell_behind(node: Node, arguments: list[str]) -> str | None:
    """Look for another shell behind a program, such as `docker run alpine sh -c …`."""
    places = [n for n, word in enumerate(arguments) if re.split("[/=]", word)[-1] in _SHELLS]
    for n in places:
        rest = arguments[n + 1 :]
        if any(re.fullmatch("-[a-z]*c", one) for one in rest) and _other_shell(node, rest):
            return _LAX_SHELL
        if not rest and _is_fed(node):
            return _LAX_SHELL
    return None


def _is_fed(node: Node) -> bool:
    """Whether a command reads a pipe, a file or a heredoc."""
    parent = node.parent
    outer = parent if parent is not None and parent.type == "redirected_statement" else node
    pipe = outer.parent
    behind = pipe is not None and pipe.type == "pipeline" and pipe.children[0] != outer
    return behind or "<" in text(outer)


def _other_shell(node: Node, arguments: list[str]) -> str | None:
    """Allow another shell for a file, for one plain command, or for several with -e."""
    flags = [*takewhile(lambda argument: argument.startswith(("-", "+")), arguments)]
    behind = [
        script for flag, script in pairwise(node.children) if re.fullmatch("-[a-z]*c", text(flag))
    ]
    if not behind:
        files = arguments[len(flags) :]
        lax = any(
            flag.startswith("+") or "s" in flag.lstrip("-") for flag in flags if flag[:2] != "--"
        )
        return None if files and not lax else _LAX_SHELL
    quoted = [text(one)[1:-1] for one in behind if one.type in ("string", "raw_string")]
    quoted += [text(one) for one in behind if one.type == "word"]
    strict = any(re.fullmatch("-[a-z]*e[a-z]*", flag) for flag in flags)
    strict = strict and not any(flag.startswith("+") for flag in flags)
    if len(quoted) == len(behind) and all(_is_plain(one, strict) for one in quoted):
        return None
    return _LAX_SHELL


def _like_shell(node: Node, arguments: list[str]) -> str | None:
    given = any(re.fullmatch("-[a-z]*c|--command", one) for one in arguments)
    return _other_shell(node, ["-c", *arguments]) if given else None


def _is_plain(script: str, strict: bool) -> bool:
    """Whether a script for another shell is one plain command, or `a && b`.

    Where it is strict, it may hold several.
    """
    root = parse(script)
    nodes = [*walk(root)]
    single = sum(child.is_named for child in root.children) == 1
    kinds = {*_PLAIN, "list"} if single else _PLAIN
    plain = all(
        node.type in kinds if node.is_named else node.type not in ("&", "||") for node in nodes
    )
    commands = [node for node in nodes if node.type == "command"]
    lax = any(_command(node) or "$" in words(node)[0] for node in commands)
    return plain and (strict or single) and not lax


RULES: dict[str, Callable[[Node], str | None]] = {
    "ERROR": _error,
    "command_substitution": _substitution,
    "process_substitution": _substitution,
    "list": _list,
    "negated_command": _negation,
    "heredoc_redirect": _heredoc,
    "file_redirect": _redirect,
    "expansion": _expansion,
    "test_command": _test_command,
    "function_definition": _function,
    "command": _command,
    "&": _job,
    "elif_clause": _condition,
    **dict.fromkeys(_COMPOUND, _compound),
}
_COMMANDS: dict[str, Callable[[Node, list[str]], str | None]] = {
    "return": _return,
    "break": _leave_loop,
    "continue": _leave_loop,
    "set": _set,
    "shopt": _shopt,
    "trap": _trap,
    "exec": _exec,
    "source": _source,
    ".": _source,
    "find": _find,
    "!": lambda node, _: _negation(node),
    **dict.fromkeys(("eval", "alias"), _unread),
    **dict.fromkeys(_SHELLS, _other_shell),
    **dict.fromkeys(_LIKE_SHELLS, _like_shell),
    **dict.fromkeys(("disown", "coproc", "setsid", "nohup"), _spawner),
}
