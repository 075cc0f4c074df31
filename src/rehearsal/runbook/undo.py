"""What a page leaves behind, against what it declares in its header.

Under `rehearsal:`, `leaves` is a list of items as `room.leftovers` names them, such as `image
alpine:latest`, and `may-leave` of those that stay on some engines only, such as the image on which
another is built. Placeholders may stand in them. `container *` and `volume *` stand for those whose
name Docker invents.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.cell.placeholders import declared
from rehearsal.cell.syntax import FORM
from rehearsal.errors import Wrong

_ANY = ("container *", "volume *")
LEAVES, MAY_LEAVE = "leaves", "may-leave"


def undeclared_leftovers(left: Sequence[str], declares: Mapping[str, Any]) -> str:
    """Return how what was left differs from what a notebook declares, or nothing.

    Raises Wrong for a declaration that cannot be understood.
    """
    known = declared(declares)

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise Wrong(f"The header's leftovers hold {match[0]}, which is not declared.")
        return known[match[1]].value

    def items(key: str) -> set[str]:
        return {FORM.sub(value, one) for one in declares.get(key, ())}

    wrong = []
    may_stay = items(LEAVES) | items(MAY_LEAVE)
    if more := sorted(one for one in left if not any(_matches(item, [one]) for item in may_stay)):
        changed = f"after the last cell the room is not as before the first: {', '.join(more)}"
        declare = f"declare each under `rehearsal: {LEAVES}:` in the header"
        wrong.append(f"{changed}. Undo it, or {declare}")
    if missing := sorted(one for one in items(LEAVES) if not _matches(one, left)):
        wrong.append(f"the header declares to leave {', '.join(missing)}, and it is not there")
    return "; ".join(wrong)


def _matches(item: str, left: Sequence[str]) -> bool:
    return item in left or (item in _ANY and any(one.startswith(item[:-1]) for one in left))
