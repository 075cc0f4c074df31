"""The command `megalotron-images`: parse, call one function, print.

Answers go to stdout, all else to stderr.
"""

import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, NoReturn

import typer

from megalotron_images import output
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
    parse_reference,
    parse_release,
    parse_stack,
    parse_tag,
    releases_among,
    split_reference,
    tags_for,
)
from megalotron_images.errors import (
    CannotTell,
    ImageError,
    Refused,
    RegistryFailed,
    RuleBroken,
    Stopped,
)
from megalotron_images.plan import Finding, LocalImage, Overrides, Plan, Verdict
from megalotron_images.registry.client import Unknown, connect
from megalotron_images.registry.credentials import find_credentials
from megalotron_images.release import publish_plan
from megalotron_images.waiting import together

_EPILOG = """
Exit status: 0 done, or all is well; 1 a rule says no, or somebody else was first; 2 wrong command
line; 3 no answer to rely on. With --debug before the command an error shows its traceback.

Environment: REGISTRY_USERNAME and REGISTRY_TOKEN log in, before Docker's own logins;
MEGALOTRON_IMAGES_SECONDS is how long one question may take; DOCKER_HOST and DOCKER_CONTEXT choose
the engine; HTTPS_PROXY and NO_PROXY the proxy.
"""
app = typer.Typer(
    epilog=_EPILOG, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)

StackName = Annotated[
    str, typer.Argument(metavar="STACK", help="dashboard, backend, sniffer or go-flow-meter.")
]
OneOrAll = Annotated[str, typer.Argument(metavar="STACK", help="One stack; all if none is given.")]
ImageReference = Annotated[
    str,
    typer.Argument(
        metavar="REFERENCE", help="An image's full name: ghcr.io/megalotron/<stack>:<tag>."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Write without asking for the full reference.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be written, and why not; write nothing.")
]
FewerPlatforms = Annotated[
    bool, typer.Option("--fewer-platforms", help="Let it run on fewer platforms than before.")
]
Digests = Annotated[bool, typer.Option("--digests", help="Print whole digests to terminals too.")]
Revision = Annotated[
    str,
    typer.Option(
        metavar="COMMIT", help="For workflows: a release of this commit is done, not taken."
    ),
]
Prerelease = Annotated[bool, typer.Option("--prerelease", help="Let a pre-release become main.")]


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # it takes as long as a verb

        output.write(version("image-process"))
        raise typer.Exit


@app.callback()
def general(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Megalotron's image process: check, publish and promote images without losing a release."""


@app.command(
    epilog="Example: megalotron-images check ghcr.io/megalotron/backend:v1.4.0 --image backend"
)
def check(
    reference: ImageReference,
    image: Annotated[
        str, typer.Option(metavar="LOCAL", help="An image in your engine, for its platform.")
    ] = "",
    revision: Revision = "",
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Look too whether it is stated how it was built.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether an image may be published.

    Looked at are its name, its tag, its version and its platforms.
    """
    local = None
    if image:
        from megalotron_images.engine import Engine

        local = Engine().image(image)
    found = _findings(reference, local, revision)
    if provenance and found[0].verdict is Verdict.YES:
        found.append(_provenance(parse_reference(reference)))
    raise typer.Exit(output.findings(found, as_json))


def _provenance(reference: Reference) -> Finding:
    from megalotron_images.provenance import find_provenance

    registry, repository = connect(), reference.stack.image
    try:
        manifest = registry.manifest(repository, str(reference.tag))
        return find_provenance(registry, repository, manifest)
    except RegistryFailed as error:
        return Finding("built", Verdict.UNKNOWN, str(error))


def _findings(text: str, image: LocalImage | None, revision: str) -> list[Finding]:
    """Return the findings about publishing an image; after a broken name there are no others."""
    try:
        reference = parse_reference(text)
    except RuleBroken as error:
        return [Finding("name", Verdict.NO, str(error))]
    name = Finding("name", Verdict.YES, f"{reference} follows the convention")
    try:
        plan = publish_plan(connect(), reference, image, Overrides(revision=revision))
    except RegistryFailed as error:
        return [name, Finding("registry", Verdict.UNKNOWN, str(error))]
    return [name, *plan.findings]


@app.command(epilog="Example: megalotron-images status backend")
def status(
    stack: OneOrAll = "",
    releases: Annotated[
        bool, typer.Option("--releases", help="List every release instead, the newest first.")
    ] = False,
    digests: Digests = False,
    as_json: AsJson = False,
) -> None:
    """Show each stack's newest release, and what main and dev are."""
    from megalotron_images.status import read_days, read_line

    registry = connect()
    lines = together(partial(read_line, registry, one) for one in _stacks(stack))
    unknown = [reason for line in lines for reason in line.unknown]
    if releases:
        head = ("STACK", "RELEASE", "BUILT", "DIGEST")
        found = [one for line in lines for one in read_days(registry, line)]
        rows = [one.row for one in found]
        output.answer(output.table([head, *rows], digests), [one.data for one in found], as_json)
        unknown += [one.unknown for one in found if one.unknown]
    else:
        table = [
            ("STACK", "TAG", "RELEASE", "DIGEST"),
            *(row for line in lines for row in line.rows),
        ]
        output.answer(output.table(table, digests), [line.data for line in lines], as_json)
    if unknown:
        raise CannotTell(" ".join(unknown))


@app.command(epilog="Example: megalotron-images digest ghcr.io/megalotron/backend:main")
def digest(reference: ImageReference, as_json: AsJson = False) -> None:
    """Print the digest that a reference names, or `nothing`."""
    state = connect().state(*split_reference(reference))
    if isinstance(state, Unknown):
        raise CannotTell(f"Nobody can tell what {reference} names: {state.reason}")
    credentials = find_credentials(REGISTRY)
    user = credentials.username if credentials else None
    data = {"reference": reference, "digest": state.digest, "user": user}
    output.answer(state, data, as_json)


@app.command("next", epilog="Example: megalotron-images next backend --minor")
def next_version(
    stack: StackName,
    patch: Annotated[
        bool, typer.Option("--patch", help="Raise Z of vX.Y.Z (the default).")
    ] = False,
    minor: Annotated[bool, typer.Option("--minor", help="Raise Y.")] = False,
    major: Annotated[bool, typer.Option("--major", help="Raise X.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the next version of a stack, alone on its line."""
    if patch + minor + major > 1:
        raise typer.BadParameter("Give one of --patch, --minor and --major.")
    bump = Bump.MAJOR if major else Bump.MINOR if minor else Bump.PATCH
    one = parse_stack(stack)
    newest = next(releases_among(connect().tags(one.image)), None)
    following = next_release(newest, bump)
    data = {"stack": one.name, "version": str(following)}
    output.answer(following, data, as_json)


@app.command(epilog="Example: megalotron-images publish backend v1.4.0 --image backend")
def publish(
    stack: StackName,
    tag: Annotated[str, typer.Argument(metavar="VERSION|main|dev", help="The tag to write.")],
    image: Annotated[
        str, typer.Option(metavar="LOCAL", help="An image in your engine; that name if not given.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    backport: Annotated[
        bool, typer.Option("--backport", help="Publish an older version than the newest.")
    ] = False,
    fewer_platforms: FewerPlatforms = False,
    revision: Revision = "",
    as_json: AsJson = False,
) -> None:
    """Push a local image to a tag, and read it back.

    What the tag was before is shown too.
    """
    from megalotron_images import release
    from megalotron_images.engine import Engine

    reference = Reference(parse_stack(stack), parse_tag(tag))
    engine, credentials = Engine(), find_credentials(REGISTRY)
    local, registry = engine.image(image or str(reference)), connect(writes=not dry_run)
    asked = Overrides(backport=backport, fewer_platforms=fewer_platforms, revision=revision)
    plan = publish_plan(registry, reference, local, asked)
    if _may_write(plan, dry_run, yes, as_json):
        with output.progress() as progress:
            push = partial(engine.push, credentials=credentials, progress=progress, say=output.step)
            done = release.publish(plan, local, registry, push, say=output.step)
        output.answer(done, done.data, as_json)


@app.command(epilog="Example: megalotron-images promote backend v1.4.0 --to main")
def promote(
    stack: StackName,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A release of that stack.")],
    to: Annotated[str, typer.Option(metavar="main|dev", help="The tag to move.")] = "main",
    expect: Annotated[
        str, typer.Option(metavar="DIGEST", help="Go on only if the tag names this now.")
    ] = "",
    prerelease: Prerelease = False,
    fewer_platforms: FewerPlatforms = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move main or dev to a release, forward or back.

    It happens inside the registry: nothing is pulled or pushed.
    """
    from megalotron_images import release

    if to not in [*MovingTag]:
        raise typer.BadParameter(f"--to {to}: only {' and '.join(MovingTag)} can be moved.")
    if expect and not DIGEST.fullmatch(expect):
        raise typer.BadParameter("--expect takes a full digest: sha256: and 64 digits.")
    asked = Overrides(prerelease=prerelease, expect=expect, fewer_platforms=fewer_platforms)
    registry, one = connect(writes=not dry_run), parse_stack(stack)
    promotion = release.promote_plan(registry, one, parse_release(version), MovingTag(to), asked)
    if _may_write(promotion.plan, dry_run, yes, as_json):
        done = release.put(promotion.plan, promotion.manifest, registry, say=output.step)
        output.answer(done, done.data, as_json)


def _may_write(plan: Plan, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Show a plan and ask for confirmation; return whether to write.

    Raises Refused or CannotTell where the plan must not be carried out.
    """
    for note in plan.notes:
        output.step(note)
    plan.check()
    if dry_run:
        output.dry_run(plan, as_json)
    elif not plan.done:
        _confirm(plan.reference, yes)
    return not dry_run


@app.command("tags-for", epilog="Example: megalotron-images tags-for refs/heads/main")
def tag_of(
    ref: Annotated[
        str, typer.Argument(metavar="REF", help="A full git reference, such as refs/heads/main.")
    ],
    event: Annotated[str, typer.Option(metavar="NAME", help="GitHub's event.")] = "push",
    github_output: Annotated[
        bool, typer.Option("--github-output", help="Print `tag=…` for a workflow.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the tag that a git reference writes, or `none`.

    A git tag that is no release is refused.
    """
    found = tags_for(ref, event)
    if event not in WRITING_EVENTS:
        events = " and ".join(WRITING_EVENTS)
        output.step(f"The event {event} publishes nothing: only {events} do.")
    text = f"tag={found or ''}" if github_output else found or "none"
    output.answer(text, {"ref": ref, "event": event, "tag": str(found) if found else None}, as_json)


@app.command(epilog="Example: megalotron-images doctor")
def doctor(stack: OneOrAll = "", as_json: AsJson = False) -> None:
    """Check this machine's engine, login, token and network.

    Each line that is not well says what to do next.
    """
    from megalotron_images.doctor import examine

    found = examine(_stacks(stack))
    raise typer.Exit(output.findings(found, as_json))


@app.command(epilog="Example: megalotron-images audit . --repository megalotron/backend")
def audit(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A repository's folder.")],
    repository: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="What ${{ github.repository }} stands for.")
    ] = "",
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for a workflow's log.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether a repository follows the process.

    It reads workflows and deployments. What they do not show is "cannot tell", never "ok".
    """
    if repository and repository.count("/") != 1:
        raise typer.BadParameter("--repository takes OWNER/NAME.")
    from megalotron_images.audit.verb import answer

    text, data, status = answer(folder, repository, github)
    output.answer(text, data, as_json)
    raise typer.Exit(status)


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


def main() -> None:
    """Run the command line; end with an exit status that docs and scripts may rely on."""
    debug = "--debug" in sys.argv[1:2]
    if debug:
        sys.argv.remove("--debug")
    signal.signal(signal.SIGINT, _stop)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="replace")  # not every terminal writes UTF-8
    try:
        app()
    except ImageError as error:
        if debug:
            raise
        _end(str(error), error.status)
    except Exception as error:
        if debug:
            raise
        said = f"something unexpected ({type(error).__name__}: {error}). See where: --debug"
        _end(said, CannotTell.status)


def _stop(number: int, frame: object) -> NoReturn:
    raise Stopped("Stopped: nothing was written.")


def _end(said: str, status: int) -> NoReturn:
    print(f"megalotron-images: {said}", file=sys.stderr)
    sys.exit(status)
