"""What bash overlooks in one statement: a rule returns why it is refused, or None."""

import re
from collections.abc import Callable
from itertools import pairwise, takewhile

from tree_sitter import Node

from rehearsal.cell.syntax import ancestors, in_condition, parse, text, walk, words

_LOOPS = {"for_statement", "c_style_for_statement", "while_statement"}
_TESTS = {"test", "[", "[["}
_SHELLS = ("sh", "bash", "dash", "zsh", "ash", "ksh", "mksh")
_PLAIN = {
    "program",
    "command",
    "command_name",
    "word",
    "number",
    "string",
    "string_content",
    "raw_string",
    "comment",
}
_PLAIN |= {"concatenation", "variable_assignment", "variable_name", "simple_expansion", "expansion"}
_PLAIN |= {"special_variable_name", "redirected_statement", "file_redirect", "file_descriptor"}
"""Nodes of a script for another shell in which a failure cannot be skipped."""
_TRAPS = {"EXIT", "0", "ERR", "DEBUG", "RETURN"}
_SAYS = ("echo", "printf")
_STATUS = re.compile(r"\"?\$\?\"? (=|==|-eq) [1-9]\d{0,2}")
_STRICT = re.compile(r"-[euE]+|-[euE]*o|errexit|nounset|pipefail|errtrace")


def _error(node: Node) -> str:
    return "this cannot be read for certain; write it in a simpler way"


def _substitution(node: Node) -> str | None:
    """The status of `$(…)` counts only where it is the one substitution of a plain assignment."""
    inner, outer = node, node.parent
    while outer is not None and outer.type in {"string", "concatenation"}:
        inner, outer = outer, outer.parent
    single = [
        child
        for child in walk(inner)
        if child.type == "command_substitution" and _outermost(child, inner)
    ]
    statement = outer.parent if outer is not None and outer.type == "variable_assignment" else None
    if (
        statement is not None
        and len(single) == 1
        and statement.type not in {"command", "declaration_command"}
    ):
        return None
    return (
        "the failure of this $(…) would be lost; put it into a plain assignment of its own"
        " (name=$(…)) before"
    )


def _outermost(node: Node, top: Node) -> bool:
    for ancestor in ancestors(node):
        if ancestor == top:
            return True
        if ancestor.type == "command_substitution":
            return False
    return True


def _process_substitution(node: Node) -> str:
    return "the failure of a command in <(…) or >(…) is lost; write its output to a file first"


def _list(node: Node) -> str | None:
    if in_condition(node):
        return None
    if any(child.type == "&&" for child in node.children):
        return "in `a && b` the failure of a is lost; put them on lines of their own, or use if"
    if node.parent is not None and node.parent.type == "list":
        return None
    return (
        None
        if _may_fail(node.children[-1])
        else "this waves a failure through; use if, or declare it with --fails"
    )


def _may_fail(node: Node) -> bool:
    """Whether the right side of || ends the cell, or tests for a certain status."""
    if node.type == "redirected_statement":
        return _may_fail(node.children[0])
    if node.type == "compound_statement":
        *before, last = [
            child for child in node.children if child.is_named and child.type != "comment"
        ]
        return _may_fail(last) and all(map(_says, before))
    if node.type == "test_command":
        return bool(_STATUS.fullmatch(text(node).strip("[ ]")))
    name, *arguments = words(node) if node.type == "command" else [""]
    if name in ("exit", "return"):
        return len(arguments) == 1 and arguments[0].isdigit() and 0 < int(arguments[0]) < 256
    return name == "false" or (
        name in _TESTS and bool(_STATUS.fullmatch(" ".join(arguments).removesuffix(" ]")))
    )


def _says(node: Node) -> bool:
    inner = node.children[0] if node.type == "redirected_statement" else node
    return inner.type == "command" and words(inner)[0] in _SAYS


def _heredoc(node: Node) -> str | None:
    if any(child.is_missing for child in node.children):
        return _error(node)
    lists = {"||", "&&"} & {child.type for child in node.children}
    return (
        "what follows a heredoc on its line may hide a failure; put it on a line of its own"
        if lists
        else None
    )


def _negation(node: Node) -> str | None:
    return (
        None
        if in_condition(node)
        else "a command after ! can never fail a cell; use if, or declare --fails"
    )


def _division(node: Node) -> str | None:
    """An expansion that fails skips its line and goes on with the next; no trap fires."""
    operator = next(
        (text(child) for child in node.children if child.type in {"/", "%", "/=", "%="}), None
    )
    divisor = text(node.children[-1])
    if operator is None or (divisor.isdigit() and int(divisor) > 0):
        return None
    return (
        "a division by zero would skip this line and pass; divide by a number, or use another"
        " program"
    )


def _expansion(node: Node) -> str | None:
    if re.fullmatch(r"\$\{!?\w+(\[[^]]*\])?@[A-Za-z]\}", text(node)):
        return "what this works out is not read for failures; write it into the cell"
    part = re.match(r"\$\{!?(?:\w+|[@*])(?:\[[^]]*\])?:(?![-=?+])([^}]*)", text(node))
    lax = part and not re.fullmatch(r"\s*\d+\s*(:\s*\d+\s*)?", part[1])
    return (
        "a place or length that does not fit would skip this line and pass; use cut or sed"
        if lax
        else None
    )


def _test_command(node: Node) -> str | None:
    arithmetic = re.search(r"\s-(eq|ne|lt|le|gt|ge)\s", text(node)) and re.search(
        r"\w[/%]\w", text(node)
    )
    return (
        "a division in here could skip the line and pass; compute it before" if arithmetic else None
    )


def _function(node: Node) -> str | None:
    name = next((text(child) for child in node.children if child.type == "word"), "")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        return f"{name} is no name of a function here; use letters, digits and _"
    return (
        f"{name} is the shell's own; give the function another name" if name in _OWN_NAMES else None
    )


def _command(node: Node) -> str | None:
    name, *arguments = words(node)
    if re.search(r"[$`{}*?]", name):
        return "the name of this command would be worked out; write it as it is"
    program = name.rpartition("/")[2]
    rule = _COMMANDS.get(program if program in _SHELLS else name)  # /bin/sh is sh
    if rule is None and name not in (*_SAYS, "grep"):
        shells = [n for n, word in enumerate(arguments) if re.split("[/=]", word)[-1] in _SHELLS]
        behind = [
            arguments[n + 1 :]
            for n in shells
            if any(re.fullmatch("-[a-z]*c", a) for a in arguments[n + 1 :])
        ]
        return next((why for rest in behind if (why := _other_shell(node, rest))), None)
    return rule(node, arguments) if rule else None


def _return(node: Node, arguments: list[str]) -> str | None:
    if any(ancestor.type == "function_definition" for ancestor in ancestors(node)):
        return None
    return "a return here would skip the rest of the cell and pass"


def _leave_loop(node: Node, arguments: list[str]) -> str | None:
    return (
        None if any(a.type in _LOOPS for a in ancestors(node)) else "there is no loop here to leave"
    )


def _set(node: Node, arguments: list[str]) -> str | None:
    options = [*takewhile(lambda argument: argument != "--", arguments)]
    lax = not all(map(_STRICT.fullmatch, options))
    return (
        "the cell might no longer notice failures; declare an expected one with --fails"
        if lax
        else None
    )


def _shopt(node: Node, arguments: list[str]) -> str | None:
    lax = "inherit_errexit" in arguments or any(
        a.startswith("$") or (a[:1] == "-" and "o" in a) for a in arguments
    )
    return "the cell would no longer notice failures" if lax else None


def _trap(node: Node, arguments: list[str]) -> str | None:
    taken = _TRAPS & {
        argument.upper().removeprefix("SIG") for argument in arguments[1:] or arguments
    }
    return (
        f"the trap {', '.join(sorted(taken))} belongs to the shell that runs the cells"
        if taken
        else None
    )


def _wait(node: Node, arguments: list[str]) -> str | None:
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        return None
    return "this wait loses the job's status; wait for one job by its id (wait $!)"


def _spawner(node: Node, arguments: list[str]) -> str:
    return "what this starts would outlive the cell, or fail unseen; run it in the cell itself"


def _exec(node: Node, arguments: list[str]) -> str:
    return "this would last, or end the shell; put the redirection on the commands it is for"


def _unread(node: Node, arguments: list[str]) -> str:
    return "what this runs is not read for failures that it hides; write it into the cell"


def _find(node: Node, arguments: list[str]) -> str | None:
    runs = any(argument.startswith(("-exec", "-ok")) for argument in arguments)
    lax = runs and (";" in arguments or "+" not in arguments)
    return "find passes whatever its -exec … ; ends with; end it with +" if lax else None


def _other_shell(node: Node, arguments: list[str]) -> str | None:
    """Allow another shell for a file, or for plain commands with -e."""
    flags = [*takewhile(lambda argument: argument.startswith(("-", "+")), arguments)]
    strict = re.fullmatch("-[a-z]*e[a-z]*", flags[0]) if flags else None
    if strict and not any(flag.startswith("+") for flag in flags):
        behind = [
            script
            for flag, script in pairwise(node.children)
            if re.fullmatch("-[a-z]*c", text(flag))
        ]
        quoted = [
            text(script)[1:-1] for script in behind if script.type in ("string", "raw_string")
        ]
        if len(quoted) == len(behind) and all(map(_is_plain, quoted)):
            return None
    return (
        "a shell in here goes on after a failure; call it with -e and plain commands, or write it"
        " into the cell"
    )


def _is_plain(script: str) -> bool:
    nodes = [*walk(parse(script))]
    plain = all(node.type in _PLAIN if node.is_named else node.type != "&" for node in nodes)
    return plain and not any(_command(node) for node in nodes if node.type == "command")


def _negated(node: Node, arguments: list[str]) -> str | None:
    return _negation(node)


RULES: dict[str, Callable[[Node], str | None]] = {
    "ERROR": _error,
    "command_substitution": _substitution,
    "process_substitution": _process_substitution,
    "list": _list,
    "negated_command": _negation,
    "heredoc_redirect": _heredoc,
    "binary_expression": _division,
    "expansion": _expansion,
    "test_command": _test_command,
    "function_definition": _function,
    "command": _command,
}
_COMMANDS: dict[str, Callable[[Node, list[str]], str | None]] = {
    "return": _return,
    "break": _leave_loop,
    "continue": _leave_loop,
    "set": _set,
    "shopt": _shopt,
    "trap": _trap,
    "wait": _wait,
    "exec": _exec,
    "find": _find,
    "!": _negated,
    **dict.fromkeys(("eval", "source", ".", "alias"), _unread),
    **dict.fromkeys(_SHELLS, _other_shell),
    **dict.fromkeys(("disown", "coproc", "setsid"), _spawner),
}
_OWN_NAMES = {
    *_COMMANDS,
    *_TESTS,
    "builtin",
    "command",
    "command_not_found_handle",
    "printf",
    "read",
    "exit",
}
_OWN_NAMES |= {"false", "true", "grep", "docker"}
