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
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?")
"""Registries on the machine of the job itself, so that nothing is published."""
_OWNED = ("github.repository", "github.repository_owner", "github.event.repository.name")
"""Names that are never a host or a tag."""
_HUB_USER = re.compile(r"secrets\.\w*(hub|docker)\w*user|secrets\.docker_?user", re.IGNORECASE)
_HASHES = re.compile(r"github\.(sha|run_number|run_id|run_attempt|event\.(pull_request\.)?number)")
_STACKS = {stack.name for stack in convention.STACKS}

Answer = tuple[Verdict, str]
OK: Answer = (Verdict.OK, "")


class Parts(NamedTuple):
    """A reference's parts; `tag` is `latest` where none is written, and empty beside a digest."""

    registry: str
    name: str
    tag: str
    digest: str

    @property
    def is_local(self) -> bool:
        """Whether nothing is published."""
        return bool(_LOCAL.fullmatch(self.registry))


def split(reference: str) -> Parts:
    """Return a reference's parts; it need not be a correct one, and may have unknown parts."""
    known = holes(reference)
    text = re.sub(r"^(docker://|oci://|https?://)", "", reference.strip().strip("\"'"))
    for at, name in enumerate(known):
        text = text.replace(f"\x01{name}\x02", chr(0xE000 + at))
    path, _, digest = text.partition("@")
    first, slash, rest = path.partition("/")
    is_host = bool(slash) and bool(re.search(r"[.:]", first) or first == "localhost")
    if slash and not is_host and "\ue000" <= first[:1] < "\uf8ff" and len(first) == 1:
        is_host = known[ord(first) - 0xE000] not in _OWNED and "/" in rest
    registry, path = (first, rest) if is_host else ("", path)
    name, colon, tag = path.partition(":")
    ends = known[ord(name[-1]) - 0xE000] if name and name[-1] >= "\ue000" else ""
    if not colon:
        is_open = ends and ends not in _OWNED
        tag = "" if digest else unknown("the tag") if is_open else "latest"

    def whole(part: str) -> str:
        return "".join(
            unknown(known[ord(c) - 0xE000]) if "\ue000" <= c < "\uf8ff" else c for c in part
        )

    if not is_host and not registry:
        start = known[ord(name[0]) - 0xE000] if name and name[0] >= "\ue000" else ""
        is_known = not start or start in _OWNED or bool(_HUB_USER.search(start))
        registry = HUB if is_known else unknown(start)
    return Parts(HUB if registry in _HUBS else whole(registry), whole(name), whole(tag), digest)


def host(text: str) -> str:
    """Return the registry of a login's address; empty is Docker Hub."""
    bare = re.sub(r"^https?://", "", text.strip())
    bare = bare if holes(bare) else bare.partition("/")[0].lower()
    return HUB if bare in _HUBS else bare


def registry(name: str, how: str) -> Answer:
    """Judge a registry; how: what is done there."""
    if name == convention.REGISTRY:
        return OK
    if holes(name):
        return Verdict.CANNOT_TELL, f"it {how} a registry that is not seen: {show(name)}"
    return Verdict.VIOLATED, f"it {how} {name}, and the process has {convention.REGISTRY} alone"


def name(text: str) -> Answer:
    """Judge an image's name below its registry."""
    organisation, literal = convention.ORGANISATION, HOLE.sub("", text)
    segments = HOLE.sub(lambda one: "\x01/\x01" if one[1] == "github.repository" else "\x01", text)
    owner, _, last = segments.partition("/")
    wrong = f"{show(text)} is not {organisation}/<stack> in lower case"
    if (
        last.count("/")
        or literal != literal.lower()
        or (owner != organisation and "\x01" not in owner)
    ):
        return Verdict.VIOLATED, wrong
    if not last and "\x01" not in owner:
        return Verdict.VIOLATED, wrong
    if last and "\x01" not in last and last not in _STACKS:
        return Verdict.VIOLATED, _no_stack(last)
    if holes(text):
        return (
            Verdict.CANNOT_TELL,
            f"it depends on {', '.join(map(show, map(unknown, holes(text))))}",
        )
    return OK


def stack(text: str) -> Answer:
    """Judge what the process's own workflow is given as `stack`."""
    if holes(text):
        return Verdict.CANNOT_TELL, f"it depends on {show(text)}"
    return OK if text in _STACKS else (Verdict.VIOLATED, _no_stack(text))


def _no_stack(text: str) -> str:
    try:
        convention.parse_stack(text)
    except RuleBroken as error:
        return str(error).rstrip(".")
    return ""


def is_stack(text: str) -> bool:
    """Whether the last part of a name is a stack's."""
    return text.rpartition("/")[2] in _STACKS


def tag(text: str) -> Answer:
    """Judge a tag, for whatever its unknown parts may be."""
    if follows(text):
        return OK
    wrong = f"the tag {show(text)!r} is none of vX.Y.Z, main and dev"
    if text == convention.STAGING:
        return Verdict.CANNOT_TELL, f"{text} is the helper's tag: write it with the helper alone"
    tried = HOLE.sub(lambda one: "4f3c2b1" if _HASHES.fullmatch(one[1]) else one[0], text)
    tried = HOLE.sub(
        lambda one: one[1].partition("=")[2] if one[1][:7] == "inputs." else one[0], tried
    )
    if holes(tried):
        start = tried.partition("\x01")[0]
        could = start[:1] == "v" or any(one.startswith(start) for one in convention.MovingTag)
        if not could or re.search(r"[^\w.-]", HOLE.sub("", text)):
            return Verdict.VIOLATED, wrong
    elif not holes(text) or not follows(tried):
        return Verdict.VIOLATED, wrong
    return Verdict.CANNOT_TELL, f"it depends on {', '.join(map(show, map(unknown, holes(text))))}"


def follows(text: str) -> bool:
    """Whether a tag is one of the convention."""
    try:
        return bool(convention.parse_tag(text))
    except RuleBroken:
        return False
