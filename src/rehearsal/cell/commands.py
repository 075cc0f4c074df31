"""Commands that would end, blind or outlive the shell, and other shells that hide a failure."""

import re
from itertools import takewhile

from tree_sitter import Node

from rehearsal.cell.statuses import (
    BUILTINS,
    FAILS,
    LOOPS,
    NO_ANSWER,
    OVERLOOKED,
    QUESTIONS,
    negation,
)
from rehearsal.cell.syntax import (
    ancestors,
    child_of,
    inside,
    is_in,
    is_overlooked,
    is_question,
    parse,
    text,
    walk,
    words,
)

_APART = ("subshell", "command_substitution", "process_substitution", "pipeline")
"""Where bash runs another process: the cell's shell does not know its jobs."""
_SHELLS = {"sh", "bash", "dash", "zsh", "ash", "ksh", "mksh", "fish", "csh", "$SHELL", "$BASH"}
_LIKE_SHELLS = ("su", "runuser", "flock", "script")
"""Programs that give what stands behind -c to a shell."""
_PLAIN_NODES = """
program command command_name word number string string_content raw_string comment concatenation
variable_assignment variable_name simple_expansion expansion special_variable_name
redirected_statement file_redirect file_descriptor
"""
_PLAIN = frozenset(_PLAIN_NODES.split())
"""Nodes of a script for another shell in which a failure cannot be skipped."""
_TRAPS = {"EXIT", "0", "ERR", "DEBUG", "RETURN"}
_STRICT = re.compile(r"[-+]a|-[euE]+|-[euE]*o|errexit|nounset|pipefail|errtrace")
_LAX_OPTION = re.compile(r"inherit_errexit$|\$|-.*o", re.DOTALL)
_SCRIPT_OPTION = re.compile(r"-(?!exec)[A-Za-z]*c[A-Za-z]*|--command(=.*)?", re.DOTALL)
_FED_FILE = re.compile(r"<\(|/dev/(stdin|fd)")
_LAX_SHELL = (
    "a shell in here goes on after a failure; give it one command, or -e and plain commands, or"
    " write it into the cell"
)
_LAX_TRAP = "a failure in this trap could be lost; give it plain commands, or a function"
_LAX_FIND = "find passes whatever its -exec … ; ends with; end it with +"
_OUTLIVES = "what this starts would outlive the cell, or fail unseen; run it in the cell itself"
_UNREAD = "what this runs is not read for failures that it hides; write it into the cell"
_ALWAYS_REFUSED = {
    **dict.fromkeys(("eval", "alias"), _UNREAD),
    "enable": "the cell would no longer notice failures",
    **dict.fromkeys(("disown", "coproc", "setsid", "nohup"), _OUTLIVES),
}
_WORKED_OUT_NAME = "the name of this command would be worked out; write it as it is"


def command(node: Node) -> str | None:
    """A command whose name is worked out, that answers nothing, or that is refused by its name."""
    name, *arguments = words(node)
    before = text(child_of(node, "command_name"))
    if re.search(r"[`{}*?(]", re.sub(r"\$\{\w+\}", "$", name)) or "$'" in before:
        return _WORKED_OUT_NAME
    by_variable = "$" in name and "/" not in name
    if by_variable and not _is_safe_anywhere(node, arguments):
        return _WORKED_OUT_NAME
    if is_overlooked(node) and (by_variable or name in ("eval", "source", ".")):
        return OVERLOOKED
    if is_question(node) and (why := _no_answer(name)):
        return why
    if before in ("command", "builtin") and name in QUESTIONS | {"wait"}:
        return f"this is not looked at as {name} alone is; leave out {before}"
    why = _own_command(node, name, arguments) or _lax_find(name, arguments)
    return why or (_LAX_SHELL if _runs_lax_shell(node, name, arguments) else None)


def _is_safe_anywhere(node: Node, arguments: list[str]) -> bool:
    """Whether a command by a variable, such as `$SUDO docker ps`, can blind nothing.

    In a statement of its own it may be anything: driver.bash looks again after it.
    """
    plain = bool(arguments) and re.match(r"[\w./]", arguments[0]) is not None
    around = ("program", "redirected_statement", "pipeline")
    is_own_statement = all(one.type in around for one in ancestors(node))
    return plain or is_own_statement


def _no_answer(name: str) -> str | None:
    """Refuse what bash takes for a no though nothing was asked."""
    if "/" in name:
        return NO_ANSWER.format(what="program", instead="put its folder on the PATH")
    return NO_ANSWER.format(what="value", instead="use [ … ]") if name == "let" else None


def _own_command(node: Node, name: str, arguments: list[str]) -> str | None:
    """Refuse what would end the shell, blind it, or outlive the cell."""
    options = takewhile(lambda argument: argument != "--", arguments)
    why = _ALWAYS_REFUSED.get(name)
    match name:
        case "return" if not inside(node, "function_definition"):
            why = "a return here would skip the rest of the cell and pass"
        case "break" | "continue" if not inside(node, *LOOPS):
            why = "there is no loop here to leave"
        case "set" if not all(map(_STRICT.fullmatch, options)):
            why = f"the cell might no longer notice failures; declare an expected one ({FAILS})"
        case "shopt" if any(map(_LAX_OPTION.match, arguments)):
            why = "the cell would no longer notice failures"
        case "trap":
            why = _trap(node, arguments)
        case "jobs" if not any(re.match("-[prs]", argument) for argument in arguments):
            why = "bash forgets the status of a job that it has shown; use jobs -p, or wait"
        case "exec" if arguments or is_overlooked(node):
            why = "this would end the shell; run the program without exec"
        case "source" | "." if is_in(_redirected(node), "list", "negated_command", *_APART):
            why = "source the file in a statement of its own"
        case "!":
            why = negation(node)
    return why


def _trap(node: Node, arguments: list[str]) -> str | None:
    traps = {one.upper().removeprefix("SIG") for one in arguments[1:] or arguments} & _TRAPS
    if traps:
        return f"the trap {', '.join(sorted(traps))} belongs to the shell that runs the cells"
    plain = all(_is_plain(one) for one in node.children[1:] if one.type != "number")
    return None if plain else _LAX_TRAP


def function(node: Node) -> str | None:
    """A function with the name of what the shell itself needs."""
    name = text(node.child_by_field_name("name"))
    if name in BUILTINS | QUESTIONS or name == "command_not_found_handle":
        return f"{name} is the shell's own; give the function another name"
    return None


def job(node: Node) -> str | None:
    """A job of another process than the cell's shell."""
    if is_in(node, "binary_expression"):
        return None
    in_a_job = any(one.next_sibling and one.next_sibling.type == "&" for one in ancestors(node))
    if in_a_job or inside(node, *_APART, "function_definition"):
        return "a job started in here cannot be waited for; start it in the cell"
    return None


def _redirected(node: Node) -> Node:
    """Return a command with its redirections."""
    whole = node.parent
    return whole if whole is not None and whole.type == "redirected_statement" else node


def _lax_find(name: str, arguments: list[str]) -> str | None:
    found = "find" in (name.rpartition("/")[2], *arguments) and _finds_and_runs(arguments)
    return _LAX_FIND if found and (";" in arguments or "+" not in arguments) else None


def _finds_and_runs(arguments: list[str]) -> bool:
    return any(argument.startswith(("-exec", "-ok")) for argument in arguments)


def _runs_lax_shell(node: Node, name: str, arguments: list[str]) -> bool:
    """Whether a command is, or starts, another shell that goes on after a failure.

    Such as `sh -c …`, and `docker run alpine sh -c …`.
    """
    if name in BUILTINS | QUESTIONS or (name == "find" and not _finds_and_runs(arguments)):
        return False  # what they are given is no command
    for n, word in enumerate((name, *arguments)):
        # /bin/sh, --entrypoint=sh, ${SHELL}
        program, rest = re.split("[/=]", re.sub("[{}]", "", word))[-1], arguments[n:]
        scripted = any(map(_SCRIPT_OPTION.fullmatch, rest))
        shell = program in _SHELLS and (n == 0 or scripted or _is_fed(node))
        by_variable = n == 0 and "$" in program and any(map(_SCRIPT_OPTION.fullmatch, rest[:1]))
        like = by_variable or (program in _LIKE_SHELLS and scripted)
        if (shell or like) and _goes_on(node, rest):
            return True
    return False


def _is_fed(node: Node) -> bool:
    """Whether a command reads a pipe, a file or a heredoc."""
    whole = _redirected(node)
    pipe = whole.parent
    behind = pipe is not None and pipe.type == "pipeline" and pipe.children[0] != whole
    return behind or "<" in text(whole)


def _goes_on(node: Node, arguments: list[str]) -> bool:
    """Whether a shell goes on after a failure.

    Not with a file, with one plain command, or with several and -e.
    """
    flags = [*takewhile(lambda argument: argument.startswith(("-", "+")), arguments)]
    nodes = [one for one in node.children if "redirect" not in one.type][-len(arguments) :]
    options = [option for option in arguments if _SCRIPT_OPTION.fullmatch(option)]
    # the script is the word behind its option
    scripts = [one for option, one in zip(arguments, nodes[1:], strict=False) if option in options]
    if any(flag.startswith("+") for flag in flags) or any("=" in option for option in options):
        return True
    if not scripts:
        reads = any("s" in flag for flag in flags if not flag.startswith("--"))
        return reads or len(flags) == len(arguments) or bool(_FED_FILE.match(arguments[len(flags)]))
    strict = any(re.fullmatch("-[A-Za-z]*e[A-Za-z]*", flag) for flag in flags)
    allowed = _PLAIN | {"pipeline"} if strict and "pipefail" in arguments else _PLAIN
    return not all(
        _is_plain(one, allowed, alone=not strict) and not text(one).startswith(("-", "+"))
        for one in scripts
    )


def _is_plain(word: Node, allowed: frozenset[str] = _PLAIN, *, alone: bool = False) -> bool:
    """Whether a script for another shell is of plain commands, or one `a && b`.

    allowed: nodes of which it may be made. alone: whether it may hold one command only.
    """
    if word.type not in ("word", "string", "raw_string"):
        return False
    root = parse(text(word) if word.type == "word" else text(word)[1:-1])
    single = len(root.named_children) == 1
    kinds = allowed | ({"list"} if single else set())
    for node in walk(root):
        if node.type not in kinds if node.is_named else node.type in ("&", "||"):
            return False
        if node.type == "command" and (command(node) or "$" in words(node)[0]):
            return False
    return single or not alone
