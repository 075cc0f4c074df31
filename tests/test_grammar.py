"""The grammar of the headers that registries send, in the forms in which they send it."""

import time
from email.utils import formatdate

import pytest

from megalotron_images.errors import RegistryFailed
from megalotron_images.json_text import parsed
from megalotron_images.registry.grammar import challenges, seconds_to_wait
from megalotron_images.registry.response import Request, Response

BEARER = {"realm": "https://ghcr.io/token", "service": "ghcr.io"}
CHALLENGE = 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'


def next_page(header):
    asked = Request("GET", "https://ghcr.io/v2/x/tags/list?n=1", "", 0)
    return Response(asked, 200, {"Link": header}, b"").next_page


@pytest.mark.parametrize(
    "header",
    [
        '</next?n=1>; rel="next"',
        "</next?n=1>; rel=next",
        '</next?n=1>;rel="Next"',
        ' </next?n=1> ; REL="next" ',
        "<https://other.example/next?n=1>; rel=next",
    ],
)
def test_the_next_page_is_read_as_registries_write_it(header):
    assert next_page(header) == "/next?n=1"


def test_there_is_no_next_page_without_a_link():
    assert next_page("") is None


@pytest.mark.parametrize(
    "header",
    [
        "next",
        "</next",
        "</next>",
        "<>; rel=next",
        '</first>; rel="first"',
        '</next>; title="more"; rel="next"',
        "</next>; rel='next'",
        '</next>; rel="last next"',
        '</first>; rel=first, </next>; rel="next"',
        '</a>; rel=next, </b>; title="x;y"; rel=',
    ],
)
def test_what_is_not_understood_is_never_taken_for_the_end(header):
    with pytest.raises(RegistryFailed, match="not understood"):
        next_page(header)


@pytest.mark.parametrize(
    "header",
    [
        CHALLENGE,
        f'Basic realm="x", {CHALLENGE}',
        f'{CHALLENGE}, Basic realm="x, y"',
        f"Negotiate, {CHALLENGE}",
        f"Negotiate abc==, {CHALLENGE}",
        'bearer Realm="https://ghcr.io/token" , service = "ghcr.io"',
    ],
)
def test_a_challenge_is_found_among_others(header):
    assert challenges(header)["bearer"] == BEARER


def test_the_parameters_of_a_scheme_are_not_those_of_another():
    assert challenges(f'{CHALLENGE}, X_y realm="q", service="z"')["bearer"] == BEARER


def test_no_challenge_is_made_of_nothing():
    assert challenges("") == {}
    assert challenges("Bearer") == challenges("X-Bearer realm=x, Digest realm=y") == {}
    assert challenges("Bearer realm=") == {"bearer": {}}
    quoted = r'Basic realm="say \"x\", bearer realm=y"'
    assert challenges(quoted) == {"basic": {"realm": 'say "x", bearer realm=y'}}


def test_a_wait_is_asked_for_in_seconds_by_date_or_in_words():
    assert seconds_to_wait("7", "") == 7
    assert 85 < seconds_to_wait(formatdate(time.time() + 90, usegmt=True), "") <= 90
    assert seconds_to_wait("", "toomanyrequests: retry-after: 1m30s, allowed: 1/s") == 90
    assert seconds_to_wait("soon", "no") == seconds_to_wait("", "") == 0
    assert seconds_to_wait("9" * 5000, "") == 0
    assert seconds_to_wait(formatdate(0, usegmt=True), "") == 0


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", b"\xff"])
def test_what_is_no_json_or_too_deep_is_one_kind_of_error(text):
    with pytest.raises(ValueError, match=r".*"):
        parsed(text)
