"""The words of a command: its options, switches and operands. Pure."""

from collections.abc import Collection, Sequence

from megalotron_images.audit.knowledge import VALUED


def options(words: Sequence[str], *names: str) -> list[str]:
    """Return the values of an option, however it is written."""
    found = []
    for at, word in enumerate(words):
        for name in names:
            if word == name and at + 1 < len(words):
                found.append(words[at + 1])
            elif word.startswith(f"{name}="):
                found.append(word.partition("=")[2])
            elif len(name) == 2 and word.startswith(name) and word != name and word[:2] != "--":
                found.append(word[2:])
    return found


def option(words: Sequence[str], *names: str, default: str = "") -> str:
    """Return the first value of an option, however it is written."""
    return next(iter(options(words, *names)), default)


def operands(words: Sequence[str], valued: Collection[str] = VALUED) -> list[str]:
    """Return the words that are neither options nor values of those that have one."""
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word[:1] == "-" and word != "-":
            skip = word in valued
        elif word:
            found.append(word)
    return found


def flag(words: Sequence[str], *names: str) -> bool:
    """Whether a switch is on."""
    return any(one.partition("=")[0] in names and not one.endswith("=false") for one in words)
