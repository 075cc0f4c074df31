"""What text tools of the shell do to a text, where that is certain. Pure."""

import fnmatch
import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import reduce

from megalotron_images.audit.texts import apply, asked, has_holes, unknown
from megalotron_images.audit.words import option

_SUBSTITUTION = re.compile(r"\s*s(\W)((?:\\.|(?!\1).)*)\1((?:\\.|(?!\1).)*)\1([gI]*)\s*")
"""sed's command `s`, with any sign between its parts."""
_OPTIONS = re.compile(r"""\.tags\s*\|\s*map\("(.*?)"\s*([+,])\s*\.\)\s*\|\s*join\(" "\)""")
"""How docker/metadata-action's tags become options of a command."""
_CLASSES = {"upper": "A-Z", "lower": "a-z", "alpha": "A-Za-z", "alnum": "A-Za-z0-9"}
_CLASSES |= {"digit": "0-9", "xdigit": "0-9A-Fa-f", "space": " \t\n\r\f\v", "blank": " \t"}
_NOT_UNDERSTOOD = (re.error, LookupError)
"""What a pattern raises that cannot be written for Python, or that asks for too much."""


def _posix(pattern: str) -> str:
    """Return a pattern with the signs of each class of POSIX, as `[:alpha:]`, in its place."""
    return re.sub(r"\[:(\w+):\]", lambda one: _CLASSES[one[1]], pattern)


def _regex(pattern: str) -> re.Pattern[str]:
    """Return a pattern for Python; raise LookupError where a part of it is not known."""
    if has_holes(pattern):
        raise LookupError(pattern)
    return re.compile(pattern)


def matches(pattern: str, text: str) -> bool | None:
    """Whether a POSIX pattern matches in a text; None if nobody can tell."""
    with suppress(*_NOT_UNDERSTOOD):
        regex = _regex(_posix(pattern))
        return asked(lambda one: bool(regex.search(one)), text)
    return None


def group(pattern: str, text: str, number: int) -> str:
    """Return a group of the match of a POSIX pattern."""
    with suppress(*_NOT_UNDERSTOOD):
        regex = _regex(_posix(pattern))
        return apply(lambda one: ((m := regex.search(one)) and m[number]) or "", text)
    return unknown(f"a group of {pattern}")


def fits(text: str, pattern: str) -> bool | None:
    """Whether a glob fits a text; None if nobody can tell."""
    with suppress(*_NOT_UNDERSTOOD):
        regex = _regex(_glob(pattern))
        return asked(lambda one: bool(regex.fullmatch(one)), text)
    return None


def expanded(value: str, rest: str) -> str:
    """Return a shell's expansion `${NAME<rest>}` of a value."""
    with suppress(*_NOT_UNDERSTOOD):
        return _expanded(value, rest)
    return unknown(f"${{…{rest}}}")


def _expanded(value: str, rest: str) -> str:
    if part := re.fullmatch(r":\s*(\d*)(?::\s*(\d+))?", rest):
        start = int(part[1] or 0)
        end = start + int(part[2]) if part[2] else None
        return apply(lambda text: text[start:end], value)
    if rest in (",,", "^^", "@L", "@U"):
        return apply(str.lower if rest in (",,", "@L") else str.upper, value)
    if cut := re.fullmatch(r"(##?|%%?)(.+)", rest, re.DOTALL):
        return _cut_off(value, *cut.groups())
    if change := re.fullmatch(r"/(/?)((?:\\.|\[[^\]]*\]|[^/\\\[])+)(?:/(.*))?", rest, re.DOTALL):
        regex = _glob(change[2].replace("\\/", "/"))
        new, count = (change[3] or "").replace("\\/", "/"), 0 if change[1] else 1
        return apply(lambda text: re.sub(regex, lambda _: new, text, count=count), value)
    return unknown(f"${{…{rest}}}")


def _cut_off(value: str, sign: str, pattern: str) -> str:
    """Return a value without the start or end that matches a glob; it may have unknown parts."""
    literal = pattern.strip("*")
    before, found, after = value.partition(literal or "*")
    if found and not has_holes(before) and not re.search(r"[*?\[\\]", literal):
        certain = {("%%", f"{literal}*"): before, ("#", f"*{literal}"): after}
        certain |= {} if before else dict.fromkeys([("#", literal), ("##", literal)], after)
        if (sign, pattern) in certain:
            return certain[sign, pattern]
    return apply(lambda text: _stripped(text, sign, pattern), value)


def _glob(pattern: str) -> str:
    """Return a glob as a pattern that is not anchored."""
    regex = fnmatch.translate(_posix(pattern).replace("[^", "[!"))
    return regex.removesuffix("\\Z").removesuffix("\\z")


def _stripped(text: str, sign: str, pattern: str) -> str:
    """Return a text without the shortest or longest start or end that matches a glob."""
    lengths = range(len(text) + 1) if len(sign) == 1 else range(len(text), -1, -1)
    glob = re.compile(_glob(pattern.replace("\\", "")))
    for length in lengths:
        part = text[:length] if sign[0] == "#" else text[len(text) - length :]
        if glob.fullmatch(part):
            return text[length:] if sign[0] == "#" else text[: len(text) - length]
    return text


Change = Callable[[str], str]
"""What a tool does to a text."""


def filtered(words: list[str], text: str) -> str | None:
    """Return what a tool prints for a text on its standard input; None where that is unknown."""
    if words[0] == "jq":
        return _jq(words[1:], text)
    if words[0] in ("cat", "base64", "sort", "uniq"):
        return text
    try:
        change = _TOOLS[words[0]](words[1:]) if words[0] in _TOOLS else None
        return apply(change, text) if change else None
    except _NOT_UNDERSTOOD:
        return None


def _tr(words: list[str]) -> Change | None:
    is_deletion = words[:1] in (["-d"], ["--delete"])
    old, new = (_posix(one).strip("[]") for one in [*words[is_deletion:], "", ""][:2])
    if (old, new) in (("A-Z", "a-z"), ("a-z", "A-Z")):
        return str.lower if old == "A-Z" else str.upper
    if old[:1] == "-" or "-" in old[1:-1] or not (new or is_deletion):
        return None
    signs, others = (one.replace("\\n", "\n").replace("\\r", "\r") for one in (old, new))
    table = dict(zip(map(ord, signs), others + others[-1:] * len(signs), strict=False))
    return lambda one: one.translate(table or dict.fromkeys(map(ord, signs)))


def _sed(words: list[str]) -> Change | None:
    scripts = [one for one in words if one not in ("-e", "-E", "-r")]
    parts = [_SUBSTITUTION.fullmatch(part) for one in scripts for part in one.split(";")]
    changes = [_substitution(one, bool({"-E", "-r"} & set(words))) for one in parts if one]
    if len(changes) < len(parts):
        return None
    return lambda text: reduce(lambda held, change: change(held), changes, text)


def _substitution(match: re.Match[str], is_extended: bool) -> Change:
    """Return what sed's command `s` does."""
    sign = match[1]
    old, new = (part.replace(f"\\{sign}", sign) for part in (match[2], match[3]))
    new = new.replace("&", r"\g<0>")
    if not is_extended:
        old = re.sub(r"\\([(){}+?|])|([(){}+?|])", lambda m: m[1] or "\\" + m[2], old)
    if new in ("\\L\\g<0>", "\\L\\1"):
        return str.lower
    pattern, count = re.compile(_posix(old)), 0 if "g" in match[4] else 1
    return lambda text: pattern.sub(new, text, count=count)


def _cut(words: list[str]) -> Change | None:
    sign = option(words, "-d", "--delimiter", default="\t")
    if characters := re.fullmatch(r"1?-?(\d+)", option(words, "-c")):
        return lambda one: one[: int(characters[1])]
    field = re.fullmatch(r"(\d+)(-?)", option(words, "-f", "--fields"))
    if not field or not sign:
        return None
    start = int(field[1]) - 1
    end = None if field[2] else start + 1
    return lambda one: sign.join(one.split(sign)[start:end]) if sign in one else one


def _head(words: list[str]) -> Change | None:
    count = option(words, "-c")
    if count.isdigit():
        return lambda one: one[: int(count)]
    is_line = " ".join(words) in ("-1", "-n 1", "-n1")
    return (lambda one: one.partition("\n")[0]) if is_line else None


def _awk(words: list[str]) -> Change | None:
    match = re.fullmatch(r"(?:-F\s*(\S+)\s+)?\{\s*print \$(\d+|NF)\s*;?\s*\}", " ".join(words))
    if not match:
        return None
    at = -1 if match[2] == "NF" else int(match[2]) - 1
    sign = match[1].strip("\"'") if match[1] else None
    return lambda one: [*one.split(sign), *[""] * 9 * (at >= 0)][at]


_TOOLS = {"tr": _tr, "sed": _sed, "cut": _cut, "head": _head, "awk": _awk}


def _jq(words: list[str], text: str) -> str | None:
    """Return the tags of docker/metadata-action's JSON, as its documentation takes them out."""
    program = next((one for one in words if one[:1] == "."), "")
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if match := _OPTIONS.match(program):
        gap = " " if match[2] == "," else ""
        return " ".join(f"{match[1]}{gap}{tag}" for tag in data.get("tags", []))
    if re.fullmatch(r"\.tags\s*(\|\s*)?(\[\]|\.\[\])|\.tags\[\]", program):
        return "\n".join(data.get("tags", []))
    match = re.fullmatch(r"\.(\w+)", program)
    held = data.get(match[1]) if match else None
    return held if isinstance(held, str) else None
