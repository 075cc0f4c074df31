"""Parts of an image's reference that may have unknown parts, and what the convention says. Pure.

Source: the distribution's grammar, Docker's rule that a name without a host is Docker Hub's, and
`megalotron_images.convention`.
"""

import re
from typing import NamedTuple

from megalotron_images import convention
from megalotron_images.audit.model import Verdict
from megalotron_images.audit.values import HOLE, holes, show, unknown
from megalotron_images.errors import RuleBroken

HUB = "docker.io"
_HUBS = ("", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com")
LOCAL = re.compile(r"(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?")
"""Registries on the machine of the job itself, so that nothing is published."""
_OWNED = ("github.repository", "github.repository_owner", "github.event.repository.name")
"""Names that are never a host or a tag."""
_HUB_USER = re.compile(r"secrets\.\w*(hub|docker)\w*user|secrets\.docker_?user", re.IGNORECASE)
_HASHES = re.compile(r"github\.([\w.]*sha|run_\w+|event\.(pull_request\.)?number)")
STACKS = {stack.name for stack in convention.STACKS}
Answer = tuple[Verdict, str]
OK: Answer = (Verdict.OK, "")


class Parts(NamedTuple):
    """A reference's parts; `tag` is `latest` where none is written, and empty beside a digest."""

    registry: str
    name: str
    tag: str
    digest: str


def split(reference: str) -> Parts:
    """Return a reference's parts; it need not be a correct one, and may have unknown parts."""
    text = re.sub(r"^(docker://|oci://|https?://)", "", reference.strip().strip("\"'"))
    path, _, digest = text.partition("@")
    first, slash, rest = path.partition("/")
    start = "".join(holes(first[:1]))
    is_owner = not start or start in _OWNED or bool(_HUB_USER.search(start))
    is_host = bool(slash) and bool(re.search(r"[.:]|^localhost$", first))
    is_host = is_host or (len(first) == 1 and not is_owner and "/" in rest)
    registry, path = (first, rest) if is_host else (HUB if is_owner else unknown(start), path)
    name, colon, tag = path.partition(":")
    end = "".join(holes(name[-1:]))
    missing = unknown("its tag") if end and end not in _OWNED else "latest"
    tag = tag if colon else "" if digest else missing
    return Parts(HUB if registry in _HUBS else registry, name, tag, digest)


def host(text: str) -> str:
    """Return the registry of a login's address; empty is Docker Hub."""
    bare = re.sub(r"^https?://", "", text.strip()).partition("/")[0].lower()
    return HUB if bare in _HUBS else bare


def depends(text: str) -> Answer:
    """Return that nothing can be said of a text, and what it depends on."""
    return Verdict.CANNOT_TELL, f"it depends on {', '.join(map(show, HOLE.findall(text)))}"


def registry(name: str, how: str) -> Answer:
    """Judge a registry; how: what is done there."""
    if name == convention.REGISTRY:
        return OK
    wrong = f"it {how} {name}, and the process has {convention.REGISTRY} alone"
    return depends(name) if holes(name) else (Verdict.VIOLATED, wrong)


def name(text: str) -> Answer:
    """Judge an image's name below its registry."""
    whole = text.replace(unknown("github.repository"), f"{unknown('owner')}/{unknown('name')}")
    owner, _, last = whole.partition("/")
    is_owner = owner == convention.ORGANISATION or HOLE.search(owner)
    if not is_owner or "/" in last or text != text.lower() or not (last or HOLE.search(owner)):
        wrong = f"{show(text)} is not {convention.ORGANISATION}/<stack> in lower case"
        return Verdict.VIOLATED, wrong
    answer = stack(last) if last else depends(text)
    return answer if answer[0] is Verdict.VIOLATED or not holes(text) else depends(text)


def stack(text: str) -> Answer:
    """Judge a stack's name; the nearest one is in the reason."""
    if holes(text):
        return depends(text)
    try:
        convention.parse_stack(text)
    except RuleBroken as error:
        return Verdict.VIOLATED, str(error).rstrip(".")
    return OK


def tag(text: str) -> Answer:
    """Judge a tag, for whatever its unknown parts may be."""
    tried = text
    for hole, what in zip(HOLE.findall(text), holes(text), strict=True):
        known = "4f3c2b1" if _HASHES.fullmatch(what) else what.partition("=")[2]
        tried = tried.replace(hole, known) if known and what[:5] != "type=" else tried
    start = HOLE.split(tried)[0]
    could = start[:1] == "v" or any(one.startswith(start) for one in convention.MovingTag)
    if not (
        could and not re.search(r"[^\w.-]", HOLE.sub("", tried)) if holes(tried) else follows(tried)
    ):
        if tried == convention.STAGING:
            return (
                Verdict.CANNOT_TELL,
                f"{tried} is the helper's tag: write it with the helper alone",
            )
        return Verdict.VIOLATED, f"the tag {show(text)!r} is none of vX.Y.Z, main and dev"
    return depends(text) if holes(text) else OK


def follows(text: str) -> bool:
    """Whether a tag is one of the convention."""
    try:
        return bool(convention.parse_tag(text))
    except RuleBroken:
        return False
