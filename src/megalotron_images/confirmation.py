"""The question before a write: a person types the full reference."""

import sys

from megalotron_images import output
from megalotron_images.errors import Refused
from megalotron_images.plan import Plan
from megalotron_images.terminal import step


def may_write(plan: Plan, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Show a plan and ask for confirmation; return whether to write.

    Raises:
        Refused: the plan breaks a rule, or the answer is another.
        CannotTell: the registry did not answer reliably.
    """
    for note in plan.notes:
        step(note)
    plan.check()
    if dry_run:
        done, reference = bool(plan.done), str(plan.reference)
        what = "already points to this" if done else "would be written"
        data = {"reference": reference, "before": plan.before.digest, "writes": not done}
        output.answer(f"{reference} {what}. Nothing was written.", data, as_json)
    elif not (plan.done or yes):
        if not (sys.stdin and sys.stdin.isatty()):
            why = "cannot be confirmed without a terminal: use one, or add --yes."
            raise Refused(f"{plan.reference} {why}")
        print(f"Type {plan.reference} to write it: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != str(plan.reference):
            raise Refused(f"That is not {plan.reference}: nothing was written.")
    return not dry_run
