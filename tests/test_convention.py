import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from megalotron_images.convention import (
    RELEASE,
    STACKS,
    MovingTag,
    Reference,
    Release,
    parse_name,
    parse_reference,
    parse_release,
    parse_tag,
    releases_among,
)
from megalotron_images.errors import RuleBroken
from semver import Version

# The examples behind the regular expression that semver.org suggests.
VALID, INVALID = (
    (ROOT / "tests" / "semver" / f"{name}.txt").read_text().split() for name in ("valid", "invalid")
)
REFERENCE = re.compile(
    r"ghcr\.io/[a-z0-9]+/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
)
"""The grammar of the OCI distribution specification, which Distribution applies."""

parts = st.integers(0, 10**6)
identifiers = st.one_of(
    parts.map(str), st.from_regex(r"[0-9A-Za-z-]*[A-Za-z-][0-9A-Za-z-]*", fullmatch=True)
)
prereleases = (
    st.lists(identifiers, max_size=3).map(".".join).map(lambda text: text[:60].rstrip(".") or None)
)
releases = st.builds(
    lambda a, b, c, pre: Release(Version(a, b, c, pre)), parts, parts, parts, prereleases
)


@pytest.mark.parametrize("text", VALID)
def test_a_version_that_is_valid_is_a_release_unless_it_has_a_build_part(text):
    if "+" in text:
        with pytest.raises(RuleBroken):
            parse_release(f"v{text}")
    else:
        assert str(parse_release(f"v{text}")) == f"v{text}"


@pytest.mark.parametrize("text", INVALID)
def test_a_version_that_is_invalid_is_no_release(text):
    with pytest.raises(RuleBroken, match="is not a release"):
        parse_release(f"v{text}")


# meant to look right
@pytest.mark.parametrize("text", ["v1.2.3\n", "v1.2.3 ", "v１.2.3", "v1.2.3-é"])
def test_what_only_looks_like_a_release(text):
    with pytest.raises(RuleBroken):
        parse_release(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1.2.3", "v1.2.3"),
        ("V1.2.3", "v1.2.3"),
        ("v1.2", "v1.2.0"),
        ("v1", "v1.0.0"),
        ("v01.2.3", "v1.2.3"),
        ("v1.2.3+build", "v1.2.3?"),
        ("latest", "main"),
        ("Dev", "dev"),
        ("production", "main"),
        ("newest", "v1.2.3"),
    ],
)
def test_a_wrong_tag_is_told_the_nearest_right_one(text, hint):
    with pytest.raises(RuleBroken, match=re.escape(hint)):
        parse_tag(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ghcr.io/megalotron/backnd:main", "backend"),
        ("ghcr.io/megalotron/Backend:main", "backend"),
        ("ghcr.io/megalotron/go_flow_meter:dev", "go-flow-meter"),
        ("ghcr.io/megalotron/zebra:main", "dashboard, backend, sniffer, go-flow-meter"),
        ("ghcr.io/megalotron/backend", "has no tag"),
        ("ghcr.io/megalotron/backend:", "has no tag"),
        ("docker.io/megalotron/backend:main", "ghcr.io/megalotron/"),
        ("megalotron/backend:main", "ghcr.io/megalotron/"),
        ("ghcr.io/backend:main", "Did you mean ghcr.io/megalotron/backend:main?"),
    ],
)
def test_a_wrong_reference_is_told_which_rule_it_breaks(text, hint):
    with pytest.raises(RuleBroken, match=re.escape(hint)):
        parse_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io/Megalotron/backend:main",
        "GHCR.IO/megalotron/backend:main",
        "ghcr.io/megalotron/BACKEND:main",
        "ghcr.io:443/megalotron/backend:main",
        "https://ghcr.io/megalotron/backend:main",
        "HTTP://ghcr.io/megalotron/backend:main",
        "docker://ghcr.io/megalotron/backend:main",
        "docker-image://ghcr.io/megalotron/backend:main",
        "oci://GHCR.io:443/Megalotron/Backend:main",
        " ghcr.io/megalotron/backend:main\n",
        "megalotron/backend:main",
        "backend:main",
    ],
)
@pytest.mark.parametrize("digest", ["", f"@sha256:{'0a' * 32}", f"@SHA256:{'0A' * 32}"])
def test_a_name_one_step_from_right_is_answered_with_the_right_one(text, digest):
    given = text.rstrip("\n") + digest + text[len(text.rstrip("\n")) :]
    right = f"ghcr.io/megalotron/backend:main{digest.lower()}"
    for parse in (parse_name, parse_reference):
        with pytest.raises(RuleBroken, match=rf"Did you mean {right}\?"):
            parse(given)
    assert str(parse_name(right)) == right


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/megalotron/backend:main",
        "https://example.com/megalotron/backend:main",
        "ghcr.io/megalotron/backend@sha256:0",
        "ghcr.io/megalotron/backend@main",
        f"ghcr.io/megalotron/backend@sha256:{'0' * 64}:main",
        "ghcr.io@example.com/megalotron/backend:main",
        "ghcr.io/megalotron/backend:ma\x1bin",
        "",
        "ghcr.io/",
    ],
)
def test_what_is_no_name_of_the_registry_gets_no_guess(text):
    with pytest.raises(RuleBroken) as refused:
        parse_name(text)
    assert "Did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ghcr.io/other/image/deep:Tag_1", ("other/image/deep", "Tag_1", "")),
        (f"ghcr.io/other/image@sha256:{'0' * 64}", ("other/image", "", f"sha256:{'0' * 64}")),
        (f"ghcr.io/a/b:c@sha256:{'0' * 64}", ("a/b", "c", f"sha256:{'0' * 64}")),
    ],
)
def test_a_name_is_read_into_repository_tag_and_digest(text, parts):
    name = parse_name(text)
    assert (name.repository, name.tag, name.digest) == parts
    assert str(name) == text


CASES = tomllib.loads((ROOT / "tests" / "releases.toml").read_text())


@pytest.mark.parametrize("text", [*CASES["right"], *CASES["wrong"]])
def test_the_pattern_that_browsers_read_says_the_same_as_the_parser(text):
    try:
        right = str(parse_release(text)) == text
    except RuleBroken:
        right = False
    assert right == (text in CASES["right"]) == bool(re.fullmatch(RELEASE, text))


NAMES = tomllib.loads((ROOT / "tests" / "names.toml").read_text())


@pytest.mark.parametrize("text", NAMES["right"])
def test_a_right_name_is_accepted_as_it_is(text):
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize("text", NAMES["wrong"])
def test_a_wrong_name_is_refused(text):
    with pytest.raises(RuleBroken):
        parse_reference(text)


@given(releases)
def test_the_pattern_that_browsers_read_takes_every_release(release):
    assert re.fullmatch(RELEASE, str(release))


@given(releases)
def test_parse_and_print_are_inverse(release):
    assert parse_release(str(release)) == release


@given(releases, releases, releases)
def test_the_order_is_total(a, b, c):
    assert (a < b) + (b < a) + (a == b) == 1
    if a <= b <= c:
        assert a <= c


@given(st.sampled_from(STACKS), st.one_of(releases, st.sampled_from(MovingTag)))
def test_no_accepted_reference_is_refused_by_the_registrys_grammar(stack, tag):
    text = str(Reference(stack, tag))
    assert REFERENCE.fullmatch(text)
    assert parse_reference(text) == Reference(stack, tag)


@pytest.mark.parametrize(
    ("older", "newer"), [("v1.0.0", "v1.0.1"), ("v1.0.0-rc.1", "v1.0.0"), ("v1.9.0", "v1.10.0")]
)
def test_a_newer_release_is_greater(older, newer):
    assert parse_release(older) < parse_release(newer)


def test_the_stacks_are_those_of_the_seed():
    assert [(stack.title, stack.image) for stack in STACKS] == [
        ("Dashboard", "megalotron/dashboard"),
        ("Backend", "megalotron/backend"),
        ("Sniffer", "megalotron/sniffer"),
        ("Go FlowMeter", "megalotron/go-flow-meter"),
    ]


@given(st.lists(releases, max_size=8))
def test_releases_among_tags_come_newest_first_and_all(found):
    tags = [
        *map(str, found),
        "main",
        "staging",
        "v1",
        "v1.2",
        "v1.2.3+build",
        "latest",
        "v9.9.9\nv8.8.8",
    ]
    assert list(releases_among(tags)) == sorted(found, reverse=True)
