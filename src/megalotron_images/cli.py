"""The command `megalotron-images`: parse, call one function, print.

Answers go to stdout, all else to stderr.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from megalotron_images import output
from megalotron_images.concurrency import run_concurrently
from megalotron_images.convention import (
    DIGEST,
    REGISTRY,
    STACKS,
    WRITING_EVENTS,
    Bump,
    MovingTag,
    Reference,
    Stack,
    next_release,
    parse_name,
    parse_release,
    parse_stack,
    parse_tag,
    releases_among,
    tags_for,
)
from megalotron_images.errors import CannotTell, Refused
from megalotron_images.registry.client import Unknown, connect
from megalotron_images.registry.credentials import find_credentials
from megalotron_images.terminal import step, write

if TYPE_CHECKING:
    from megalotron_images.plan import Plan

_EPILOG = """
Exit status: 0 done, or all is well; 1 a rule says no, or somebody else was first; 2 wrong command
line; 3 no answer to rely on. With --debug before the command an error shows its traceback.

Environment: REGISTRY_USERNAME and REGISTRY_TOKEN log in, before Docker's own logins;
MEGALOTRON_IMAGES_SECONDS is how long one question may take; DOCKER_HOST and DOCKER_CONTEXT choose
the engine; HTTPS_PROXY and NO_PROXY the proxy.
"""
stack_argument = click.argument("stack", help="dashboard, backend, sniffer or go-flow-meter.")
one_or_all_argument = click.argument("stack", default="", help="One stack; all if none is given.")
reference_argument = click.argument(
    "reference", help="An image's full name: ghcr.io/megalotron/<stack>:<tag>[@<digest>]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
yes_option = click.option(
    "--yes", is_flag=True, help="Write without asking for the full reference."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be written, and why not; write nothing."
)
fewer_platforms_option = click.option(
    "--fewer-platforms", is_flag=True, help="Let it run on fewer platforms than before."
)
revision_option = click.option(
    "--revision",
    default="",
    metavar="COMMIT",
    help="For workflows: a release of this commit is done, not taken.",
)


def _say_version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # it takes as long as a verb

        write(version("image-process"))
        context.exit()


def _show_completion(context: click.Context, option: click.Parameter, shell: str) -> None:
    if shell:
        from click.shell_completion import get_completion_class

        if known := get_completion_class(shell):
            name = "_MEGALOTRON_IMAGES_COMPLETE"
            write(known(context.command, {}, "megalotron-images", name).source())
        context.exit()


class _InOrder(click.Group):
    """Lists its verbs in the order of this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]


@click.group(cls=_InOrder, epilog=_EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Print the version, and end.",
)
@click.option(
    "--show-completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    metavar="SHELL",
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="Print what completes verbs in bash, zsh or fish: for its start-up file.",
)
def app() -> None:
    """Megalotron's image process: check, publish and promote images without losing a release."""


@app.command(
    epilog="Example: megalotron-images check ghcr.io/megalotron/backend:v1.4.0 --image backend"
)
@reference_argument
@click.option(
    "--image", default="", metavar="LOCAL", help="An image in your engine, for its platform."
)
@revision_option
@click.option("--provenance", is_flag=True, help="Look too whether it is stated how it was built.")
@json_option
def check(reference: str, image: str, revision: str, provenance: bool, as_json: bool) -> None:
    """Check whether an image may be published.

    Looked at are its name, its tag, its version and its platforms.
    """
    from megalotron_images.check import examine

    sys.exit(output.findings(examine(reference, image, revision, provenance), as_json))


@app.command(epilog="Example: megalotron-images status backend")
@one_or_all_argument
@click.option("--releases", is_flag=True, help="List every release instead, the newest first.")
@click.option("--digests", is_flag=True, help="Show each tag's digest, and whole ones anywhere.")
@json_option
def status(stack: str, releases: bool, digests: bool, as_json: bool) -> None:
    """Show each stack's newest release, and what main and dev are.

    One that is no release is told by the beginning of its digest.
    """
    from megalotron_images.status import read_days, read_line

    registry = connect()
    lines = run_concurrently(partial(read_line, registry, one) for one in _stacks(stack))
    unknown = [reason for line in lines for reason in line.unknown]
    if releases:
        head = ("STACK", "RELEASE", "BUILT", "DIGEST")
        found = [one for line in lines for one in read_days(registry, line)]
        rows = [one.row for one in found]
        output.answer(output.table([head, *rows], digests), [one.data for one in found], as_json)
        unknown += [one.unknown for one in found if one.unknown]
    else:
        head = ("STACK", "TAG", "IS", "DIGEST") if digests else ("STACK", "NEWEST", "MAIN", "DEV")
        rows = [row for line in lines for row in (line.rows if digests else [line.row])]
        output.answer(output.table([head, *rows], digests), [line.data for line in lines], as_json)
    if unknown:
        raise CannotTell(" ".join(unknown))


@app.command(epilog="Example: megalotron-images running backend --context one --context two")
@one_or_all_argument
@click.option(
    "--context", "servers", multiple=True, metavar="NAME", help="A server's Docker context; repeat."
)
@json_option
def running(stack: str, servers: Sequence[str], as_json: bool) -> None:
    """Show which release each server runs, beside main.

    The current Docker context is asked if none is given. Status 1: one does not run main.
    """
    from megalotron_images.running import current_context, read_running

    found = read_running(connect(), _stacks(stack), servers or [current_context()])
    rows = [("SERVER", "STACK", "RUNS", "MAIN"), *(one.row for one in found)]
    output.answer(output.table(rows), [one.data for one in found], as_json)
    for reason in (unknown := dict.fromkeys(why for one in found for why in one.unknowns)):
        step(reason)
    sys.exit(CannotTell.status if unknown else not all(one.is_main for one in found))


@app.command(epilog="Example: megalotron-images digest ghcr.io/megalotron/backend:main")
@reference_argument
@json_option
def digest(reference: str, as_json: bool) -> None:
    """Print the digest that a reference points to, or `nothing`."""
    name = parse_name(reference)
    state = connect().state(name.repository, name.tag or name.digest)
    if isinstance(state, Unknown):
        raise CannotTell(f"Cannot tell what {name} points to: {state.reason}")
    if name.tag and name.digest not in ("", state.digest):
        raise CannotTell(f"{name.tagged} points to {state} now, and not to {name.digest}.")
    credentials = find_credentials(REGISTRY)
    user = credentials.username if credentials else None
    data = {"reference": reference, "digest": state.digest, "user": user}
    output.answer(state, data, as_json)


@app.command("next", epilog="Example: megalotron-images next backend --minor")
@stack_argument
@click.option("--patch", is_flag=True, help="Raise Z of vX.Y.Z (the default).")
@click.option("--minor", is_flag=True, help="Raise Y.")
@click.option("--major", is_flag=True, help="Raise X.")
@json_option
def next_version(stack: str, patch: bool, minor: bool, major: bool, as_json: bool) -> None:
    """Print the next version of a stack, alone on its line."""
    if patch + minor + major > 1:
        raise click.BadParameter("Give one of --patch, --minor and --major.")
    bump = Bump.MAJOR if major else Bump.MINOR if minor else Bump.PATCH
    one = parse_stack(stack)
    newest = next(releases_among(connect().tags(one.image)), None)
    following = next_release(newest, bump)
    data = {"stack": one.name, "version": str(following)}
    output.answer(following, data, as_json)


@app.command(epilog="Example: megalotron-images publish backend v1.4.0 --image backend")
@stack_argument
@click.argument("tag", metavar="VERSION|main|dev", help="The tag to write.")
@click.option(
    "--image", default="", metavar="LOCAL", help="An image in your engine; that name if not given."
)
@dry_run_option
@yes_option
@click.option("--backport", is_flag=True, help="Publish an older version than the newest.")
@fewer_platforms_option
@revision_option
@json_option
def publish(
    stack: str,
    tag: str,
    image: str,
    dry_run: bool,
    yes: bool,
    backport: bool,
    fewer_platforms: bool,
    revision: str,
    as_json: bool,
) -> None:
    """Push a local image to a tag, and read it back.

    What the tag was before is shown too.
    """
    from megalotron_images import release
    from megalotron_images.engine import Engine
    from megalotron_images.plan import Overrides

    reference = Reference(parse_stack(stack), parse_tag(tag))
    engine, credentials = Engine(), find_credentials(REGISTRY)
    local, registry = engine.image(image or str(reference)), connect(writes=not dry_run)
    asked = Overrides(backport=backport, fewer_platforms=fewer_platforms, revision=revision)
    plan = release.publish_plan(registry, reference, local, asked)
    if _may_write(plan, dry_run, yes, as_json):
        with output.progress() as progress:
            push = partial(engine.push, credentials=credentials, progress=progress, say=step)
            done = release.publish(plan, local, registry, push, say=step)
        output.answer(done, done.data, as_json)


@app.command(epilog="Example: megalotron-images promote backend v1.4.0 --to main")
@stack_argument
@click.argument("version", help="A release of that stack.")
@click.option(
    "--to", default="main", show_default=True, metavar="main|dev", help="The tag to move."
)
@click.option(
    "--expect", default="", metavar="DIGEST", help="Go on only if the tag names this now."
)
@click.option("--prerelease", is_flag=True, help="Let a pre-release become main.")
@fewer_platforms_option
@dry_run_option
@yes_option
@json_option
def promote(
    stack: str,
    version: str,
    to: str,
    expect: str,
    prerelease: bool,
    fewer_platforms: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Move main or dev to a release, forward or back.

    It happens inside the registry: nothing is pulled or pushed.
    """
    from megalotron_images import release
    from megalotron_images.plan import Overrides

    if to not in [*MovingTag]:
        raise click.BadParameter(f"--to {to}: only {' and '.join(MovingTag)} can be moved.")
    if expect and not DIGEST.fullmatch(expect):
        raise click.BadParameter("--expect takes a full digest: sha256: and 64 digits.")
    asked = Overrides(prerelease=prerelease, expect=expect, fewer_platforms=fewer_platforms)
    registry, one = connect(writes=not dry_run), parse_stack(stack)
    promotion = release.promote_plan(registry, one, parse_release(version), MovingTag(to), asked)
    if _may_write(promotion.plan, dry_run, yes, as_json):
        done = release.put(promotion.plan, promotion.manifest, registry, say=step)
        output.answer(done, done.data, as_json)


def _may_write(plan: "Plan", dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Show a plan and ask for confirmation; return whether to write.

    Raises Refused or CannotTell where the plan must not be carried out.
    """
    for note in plan.notes:
        step(note)
    plan.check()
    if dry_run:
        output.dry_run(plan, as_json)
    elif not plan.done:
        _confirm(plan.reference, yes)
    return not dry_run


@app.command("tags-for", epilog="Example: megalotron-images tags-for refs/heads/main")
@click.argument("ref", help="A full git reference, such as refs/heads/main.")
@click.option("--event", default="push", show_default=True, metavar="NAME", help="GitHub's event.")
@click.option("--github-output", is_flag=True, help="Print `tag=…` for a workflow.")
@json_option
def tag_of(ref: str, event: str, github_output: bool, as_json: bool) -> None:
    """Print the tag that a git reference writes, or `none`.

    A git tag that is no release is refused.
    """
    found = tags_for(ref, event)
    if event not in WRITING_EVENTS:
        events = " and ".join(WRITING_EVENTS)
        step(f"The event {event} publishes nothing: only {events} do.")
    text = f"tag={found or ''}" if github_output else found or "none"
    output.answer(text, {"ref": ref, "event": event, "tag": str(found) if found else None}, as_json)


@app.command(epilog="Example: megalotron-images doctor")
@one_or_all_argument
@json_option
def doctor(stack: str, as_json: bool) -> None:
    """Check this machine's engine, login, token and network.

    Each line that is not well says what to do next.
    """
    from megalotron_images.doctor import examine

    found = examine(_stacks(stack))
    sys.exit(output.findings(found, as_json))


@app.command(epilog="Example: megalotron-images audit . --repository megalotron/backend")
@click.argument("folder", help="A repository's folder.")
@click.option(
    "--repository",
    default="",
    metavar="OWNER/NAME",
    help="What ${{ github.repository }} stands for.",
)
@click.option("--github", is_flag=True, help="Print annotations for a workflow's log.")
@json_option
def audit(folder: str, repository: str, github: bool, as_json: bool) -> None:
    """Check whether a repository follows the process.

    It reads workflows and deployments. What they do not show is "cannot tell", never "ok".
    """
    if repository and repository.count("/") != 1:
        raise click.BadParameter("--repository takes OWNER/NAME.")
    from megalotron_images.audit.verb import answer

    text, data, status = answer(folder, repository, github)
    output.answer(text, data, as_json)
    sys.exit(status)


def _stacks(name: str) -> Sequence[Stack]:
    return [parse_stack(name)] if name else STACKS


def _confirm(reference: Reference, yes: bool) -> None:
    """Ask for the full reference, unless --yes was given.

    Raises Refused for any other answer.
    """
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        raise Refused(
            f"Nobody is there to confirm {reference}: run it in a terminal, or with --yes."
        )
    print(f"Type {reference} to write it: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != str(reference):
        raise Refused(f"That is not {reference}: nothing was written.")
