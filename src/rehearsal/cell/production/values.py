"""The values that a person gives for placeholders, in production."""

import getpass
from collections.abc import Callable, Mapping

from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.production.record import HIDDEN
from rehearsal.cell.redact import RedactedOutput
from rehearsal.errors import Wrong


class Values:
    """What the person has given in this run.

    Attributes:
        _given: by the placeholder's name.
        _before: the same, as it was before the person asked to change it.
        _secret: the placeholders whose values no record may hold.
    """

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self._secret = set[str]()

    def get(self, placeholder: Placeholder, printed: str) -> str:
        """Return the person's value, asked for once; a secret is not echoed.

        printed: by the cell before, which a placeholder may offer. Raises Wrong if it is left
        empty, or nobody can be asked.
        """
        name = placeholder.name
        if placeholder.secret:
            self._secret.add(name)
        if name not in self._given:
            kept = self._before.get(name, "")
            shown = "kept" if placeholder.secret else kept
            default = f" [{shown}, Enter keeps it]" if kept else ""
            if not kept and placeholder.offers_output and len(printed.split()) == 1:
                kept = printed.strip()
                default = f" [{kept}, Enter takes it]"
            way: Callable[[str], str] = getpass.getpass if placeholder.secret else input
            answer = ask(way, f"{placeholder.what}\n<{name}>{default}: ") or kept
            if not answer:
                raise Wrong(f"<{name}> was left empty, so the cell did not run.")
            self._given[name] = answer
        return self._given[name]

    @property
    def secrets(self) -> set[str]:
        """The secret ones."""
        return {value for name, value in self._given.items() if name in self._secret}

    def for_record(self, shown: RedactedOutput) -> dict[str, str]:
        """Return all of them as a record may hold them; a short secret is hidden here alone."""
        secret = {name for name, value in self._given.items() if shown.hide(value) != value}
        hidden = dict.fromkeys(self._secret | secret, HIDDEN)
        return {name: hidden.get(name, value) for name, value in self._given.items()}

    def ask_again(self) -> None:
        """Ask for each once more; Enter then keeps it."""
        self._before |= self._given
        self._given.clear()

    def take_over(self, given: Mapping[str, str]) -> None:
        """Take over those of another run."""
        self._given |= given


def ask(way: Callable[[str], str], prompt: str) -> str:
    """Return a person's answer; raise Wrong if nobody can be asked."""
    from IPython.core.error import StdinNotImplementedError

    try:
        return way(prompt).strip()
    except (StdinNotImplementedError, EOFError):
        raise Wrong("there is no one to ask, so nothing was sent: run it in a terminal") from None
    except KeyboardInterrupt:
        raise Wrong("you stopped it: nothing was sent") from None
