"""The grammar of the headers that registries send, in the forms in which they send it."""

import time
from email.utils import formatdate

import pytest

from megalotron_images.json_text import parsed
from megalotron_images.registry.grammar import challenges, next_link, seconds_to_wait

BEARER = {"realm": "https://ghcr.io/token", "service": "ghcr.io"}
CHALLENGE = 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'


@pytest.mark.parametrize(
    "header",
    [
        '</next>; rel="next"',
        "</next>; rel=next",
        '</next>; title="more"; rel="next"',
        "</next>; rel='next'",
        '</next>; rel="last next"',
        '</next>;rel="Next"',
        "</next>; Rel=next",
        '</first>; rel=first, </next>; rel="next"',
        "</next>; rel=next,",
        "</next>; rel=next; rel=first",
        '</next>; rel="next"; title="a, <b>; c=d"',
        '</first>; rel="first",\t</next>;\trel = "next"',
        ", </next>; rel=next",
        "</next>; rel*=UTF-8''next",
        "</next>; new; rel=next",
    ],
)
def test_the_next_page_is_read_however_it_is_written(header):
    assert next_link(header) == "/next"


@pytest.mark.parametrize("header", ["", '</first>; rel="first"'])
def test_there_is_no_next_page(header):
    assert next_link(header) is None


@pytest.mark.parametrize(
    "header",
    ["next", "</next", "</next>", "<>; rel=next", '</a>; rel=first, </b>; title="x;y"; rel='],
)
def test_what_is_not_understood_is_never_taken_for_the_end(header):
    with pytest.raises(ValueError, match=r".*"):
        next_link(header)


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
    assert challenges("Bearer realm=") == {"bearer": {}}


def test_a_wait_is_asked_for_in_seconds_by_date_or_in_words():
    assert seconds_to_wait("7", "") == 7
    assert 85 < seconds_to_wait(formatdate(time.time() + 90, usegmt=True), "") <= 90
    assert seconds_to_wait("", "toomanyrequests: retry-after: 1m30s, allowed: 1/s") == 90
    assert seconds_to_wait("soon", "no") == 0
    assert seconds_to_wait(formatdate(0, usegmt=True), "") == 0


@pytest.mark.parametrize("form", ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_the_older_forms_of_a_date_are_in_gmt_too(form, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert 85 < seconds_to_wait(time.strftime(form, time.gmtime(time.time() + 90)), "") <= 90
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{", b"\xff"])
def test_what_is_no_json_or_too_deep_is_one_kind_of_error(text):
    with pytest.raises(ValueError, match=r".*"):
        parsed(text)
