"""What bash and driver.bash overlook in one node of a script: `refuse` says why it is refused.

Each statement of a cell is sourced by itself, and what fails in a substitution ends the shell. So
only this is left to be read: where bash does not look at a status, and what would blind it.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile

from tree_sitter import Node

from rehearsal.cell.syntax import (
    CONDITIONS,
    ancestors,
    assignment_of,
    child_of,
    content,
    inside,
    is_condition_of,
    is_in,
    is_last,
    is_negated,
    is_overlooked,
    is_part_of_a_word,
    is_question,
    may_fail,
    parse,
    text,
    walk,
    words,
)

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
_SURE = re.compile(
    r"(arch|hostname|nproc|pwd|whoami|(date|id|uname)( -\w{1,2}| [\"']?\+[^<>]*)*"
    r"|(echo|printf)( ([^<>%]|%[s%])*)?)( 2> ?/dev/null)?"
)
"""Programs that cannot fail when called so: where bash looks at no failure, only they may stand."""
_GIVEN = re.compile(
    r"\$\{?(?!\{)(\W|\d|P{2,}|\w+(\[[^]]*\])?:?[-+=]|(BASH\w*|DOCKER_\w+|E?UID|HOME|HOSTNAME|PATH"
    r"|PWD|RANDOM|SECONDS|SHELL|TMPDIR|_)\b)"
)
"""Expansions that do not fail: of what is set in each cell, and with a default."""
_QUESTIONS = {"test", "[", "grep", "egrep", "fgrep", "zgrep", "cmp", "diff"}
"""What driver.bash asks in a way that a question that could not be asked is no "no"."""
_LOOPS = ("for_statement", "c_style_for_statement", "while_statement")
_COMPOUND = (*_LOOPS, "compound_statement", "subshell", "if_statement", "case_statement")
_APART = ("subshell", "command_substitution", "process_substitution", "pipeline")
"""Where bash runs another process: the cell's shell does not know its jobs."""
_WORKED_OUT = {"simple_expansion", "expansion", "arithmetic_expansion", "command_substitution"}
_WORKED_OUT |= {"process_substitution"}
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
_COMPARES = re.compile(r"\s-(eq|ne|lt|le|gt|ge)\s")
_OVERLOOKED = (
    "in a condition, and left of || or &&, bash overlooks failures inside this; run it before, and"
    " test its result"
)
IN_A_WORD = (
    "a failure in this substitution could be lost; put it into a plain assignment of its own"
    " (name=$(…)) before"
)
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
_NO_ANSWER = "in a condition, a {what} that is not there would count as a no; {instead}"


def _error(node: Node) -> str:
    return "this cannot be read for certain; write it in a simpler way"


def _substitution(node: Node) -> str | None:
    """Part of a word: one program with plain words. Alone in an assignment: anything."""
    assignment = assignment_of(node)
    if is_overlooked(node):
        lax = assignment is not None and not is_question(assignment)
        return None if _is_simple(node, sure=assignment is None, lax=lax) else _OVERLOOKED
    return None if assignment is not None or _is_simple(node) else IN_A_WORD


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


def _list(node: Node) -> str | None:
    if is_in(node, "list") or is_question(node):
        return None
    parts, asked = [*_parts(node)], True
    for operator, command in parts:
        if operator == "||" and not asked and not may_fail(command):
            return f"this waves a failure through; use if, or declare it ({_FAILS})"
        asked = asked and _is_asking(command)
    if any(
        _is_test(one) and text(other) in ("true", ":") for (_, one), (_, other) in pairwise(parts)
    ):
        return f"nothing follows from this test; let it fail, or declare it ({_FAILS})"
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
        return name in _QUESTIONS or (name == "command" and arguments[:1] == ["-v"])
    return node.type == "test_command"


def _is_test(node: Node) -> bool:
    return node.type == "test_command" or (node.type == "command" and words(node)[0] == "test")


def _pipeline(node: Node, known: frozenset[str]) -> str | None:
    """What cannot be worked out ends a part of a pipe with the status of a no."""
    if is_overlooked(node.children[-1]) and any(_may_miss(one, known) for one in walk(node)):
        return _NO_ANSWER.format(what="value", instead="set it in a line before (x=…)")
    return None


def _may_miss(node: Node, known: frozenset[str]) -> bool:
    """Whether a node could fail to be worked out: arithmetic, or a variable that nothing sets."""
    if node.type not in ("simple_expansion", "expansion"):
        return node.type == "arithmetic_expansion"
    name = re.sub(r"^\W+|\b\W.*", "", text(node), flags=re.DOTALL)
    return not (_GIVEN.match(text(node)) or f"{name}=" in known)


def _heredoc(node: Node) -> str | None:
    start = child_of(node, "heredoc_start")
    if start is None or any(child.is_missing for child in node.children):
        return _error(node)
    line = (node.text or b"")[start.end_byte - node.start_byte :].partition(b"\n")[0].decode()
    if re.search(r";|\|\||(?<!>)&(?!>)", line):
        return "what follows a heredoc on its line may hide a failure; put it on a line of its own"
    return None


def _negation(node: Node) -> str | None:
    whole = node.parent if node.parent is not None and is_negated(node) else node
    if is_overlooked(whole) or is_question(whole) or is_last(whole):
        return None
    return f"a command after ! can never fail in here; use if, or declare it ({_FAILS})"


def _compound(node: Node) -> str | None:
    """A group or a loop whose failures bash overlooks; arithmetic that could not be asked."""
    if node.children[0].type == "((":
        return _NO_ANSWER.format(what="value", instead="use [ … ]") if is_question(node) else None
    if node.type in CONDITIONS and (why := _condition(node)):
        return why
    body = is_in(node, "function_definition")
    return _OVERLOOKED if not body and is_overlooked(node) else None


def _condition(node: Node) -> str | None:
    """Several statements in a condition: only the last one's status is looked at."""
    several = sum(is_condition_of(one, node) for one in content(node)) > 1
    return _OVERLOOKED if several else None


def _test_command(node: Node) -> str | None:
    doubtful = text(node).startswith("[[") and _COMPARES.search(text(node)) and is_question(node)
    return _NO_ANSWER.format(what="number", instead="use [ … ]") if doubtful else None


def _redirect(node: Node) -> str | None:
    """A file that cannot be opened is no answer."""
    safe = re.fullmatch(r"\d*[<>&|]+\s*[\"']?(/dev/null|[012]|-)[\"']?", text(node))
    if safe or node.parent is None or not is_question(node.parent):
        return None
    return _NO_ANSWER.format(what="file", instead="redirect before, or give the file by name")


def _expansion(node: Node) -> str | None:
    if re.fullmatch(r"\$\{!?[\w@*]+(\[[^]]*\])?@P\}", text(node)):
        return "what this works out is not read for failures; write it into the cell"
    return None


def _function(node: Node) -> str | None:
    name = text(node.child_by_field_name("name"))
    if name in BUILTINS | _QUESTIONS or name == "command_not_found_handle":
        return f"{name} is the shell's own; give the function another name"
    return None


def _job(node: Node) -> str | None:
    """A job of another process than the cell's shell."""
    if is_in(node, "binary_expression"):
        return None
    in_a_job = any(one.next_sibling and one.next_sibling.type == "&" for one in ancestors(node))
    if in_a_job or inside(node, *_APART, "function_definition"):
        return "a job started in here cannot be waited for; start it in the cell"
    return None


def _command(node: Node) -> str | None:
    name, *arguments = words(node)
    before = text(child_of(node, "command_name"))
    if re.search(r"[`{}*?(]", re.sub(r"\$\{\w+\}", "$", name)) or "$'" in before:
        return _WORKED_OUT_NAME
    by_variable = "$" in name and "/" not in name
    if by_variable and not _is_safe_anywhere(node, arguments):
        return _WORKED_OUT_NAME
    if is_overlooked(node) and (by_variable or name in ("eval", "source", ".")):
        return _OVERLOOKED
    if is_question(node) and (why := _no_answer(name)):
        return why
    if before in ("command", "builtin") and name in _QUESTIONS | {"wait"}:
        return f"this is not looked at as {name} alone is; leave out {before}"
    why = _own_command(node, name, arguments) or _lax_find(name, arguments)
    return why or (_LAX_SHELL if _runs_lax_shell(node, name, arguments) else None)


def _is_safe_anywhere(node: Node, arguments: list[str]) -> bool:
    """Whether a command by a variable, such as `$SUDO docker ps`, can blind nothing.

    In a statement of its own it may be anything: driver.bash looks again after it.
    """
    plain = bool(arguments) and re.match(r"[\w./]", arguments[0]) is not None
    alone = ("program", "redirected_statement", "pipeline")
    return plain or all(one.type in alone for one in ancestors(node))


def _no_answer(name: str) -> str | None:
    """Refuse what bash takes for a no though nothing was asked."""
    if "/" in name:
        return _NO_ANSWER.format(what="program", instead="put its folder on the PATH")
    return _NO_ANSWER.format(what="value", instead="use [ … ]") if name == "let" else None


def _own_command(node: Node, name: str, arguments: list[str]) -> str | None:
    """Refuse what would end the shell, blind it, or outlive the cell."""
    options = takewhile(lambda argument: argument != "--", arguments)
    why = _ALWAYS_REFUSED.get(name)
    match name:
        case "return" if not inside(node, "function_definition"):
            why = "a return here would skip the rest of the cell and pass"
        case "break" | "continue" if not inside(node, *_LOOPS):
            why = "there is no loop here to leave"
        case "set" if not all(map(_STRICT.fullmatch, options)):
            why = f"the cell might no longer notice failures; declare an expected one ({_FAILS})"
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
            why = _negation(node)
    return why


def _trap(node: Node, arguments: list[str]) -> str | None:
    traps = {one.upper().removeprefix("SIG") for one in arguments[1:] or arguments} & _TRAPS
    if traps:
        return f"the trap {', '.join(sorted(traps))} belongs to the shell that runs the cells"
    plain = all(_is_plain(one) for one in node.children[1:] if one.type != "number")
    return None if plain else _LAX_TRAP


def _lax_find(name: str, arguments: list[str]) -> str | None:
    found = "find" in (name.rpartition("/")[2], *arguments) and _finds_and_runs(arguments)
    return _LAX_FIND if found and (";" in arguments or "+" not in arguments) else None


def _finds_and_runs(arguments: list[str]) -> bool:
    return any(argument.startswith(("-exec", "-ok")) for argument in arguments)


def _redirected(node: Node) -> Node:
    """Return a command with its redirections."""
    whole = node.parent
    return whole if whole is not None and whole.type == "redirected_statement" else node


def _runs_lax_shell(node: Node, name: str, arguments: list[str]) -> bool:
    """Whether a command is, or starts, another shell that goes on after a failure.

    Such as `sh -c …`, and `docker run alpine sh -c …`.
    """
    if name in BUILTINS | _QUESTIONS or (name == "find" and not _finds_and_runs(arguments)):
        return False  # what they are given is no command
    for n, word in enumerate((name, *arguments)):
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
    scripts = [one for option, one in zip(arguments, nodes[1:], strict=False) if option in options]
    if any(flag.startswith("+") for flag in flags) or any("=" in option for option in options):
        return True
    if not scripts:
        reads = any("s" in flag for flag in flags if not flag.startswith("--"))
        return reads or len(flags) == len(arguments) or bool(_FED_FILE.match(arguments[len(flags)]))
    strict = any(re.fullmatch("-[A-Za-z]*e[A-Za-z]*", flag) for flag in flags)
    several = _PLAIN | {"pipeline"} if "pipefail" in arguments else _PLAIN
    return not all(
        _is_plain(one, several if strict else None) and not text(one).startswith(("-", "+"))
        for one in scripts
    )


def _is_plain(word: Node, several: frozenset[str] | None = _PLAIN) -> bool:
    """Whether a script for another shell is one plain command, or `a && b`.

    several: nodes of which it may be made if it holds more; None where it goes on after a failure.
    """
    if word.type not in ("word", "string", "raw_string"):
        return False
    root = parse(text(word) if word.type == "word" else text(word)[1:-1])
    single = len(root.named_children) == 1
    kinds = (several or _PLAIN) | ({"list"} if single else set())
    for node in walk(root):
        if node.type not in kinds if node.is_named else node.type in ("&", "||"):
            return False
        if node.type == "command" and (_command(node) or "$" in words(node)[0]):
            return False
    return single or several is not None


_RULES: dict[str, Callable[[Node], str | None]] = {
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


def refuse(node: Node, known: frozenset[str]) -> str | None:
    """Return why a node is refused, or None.

    known: the functions that the script may call, and, with a =, the variables that are set. Where
    bash overlooks what fails in a function, it must not be called.
    """
    if node.type == "pipeline":
        return _pipeline(node, known)
    if node.type == "command" and words(node)[0] in known:
        if is_overlooked(node):
            return _OVERLOOKED
        if is_part_of_a_word(node):
            return IN_A_WORD
    rule = _RULES.get(node.type)
    return rule(node) if rule else None
