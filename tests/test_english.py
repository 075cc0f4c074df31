"""Phrases that were translated word for word, and sentences that were false, stay off the pages."""

import re

import pytest

import words
from conftest import ROOT

PHRASES = (
    "names the one for production",
    "you start it on each server",
    "names nothing now",
    "check again what it names",
    "is told by the beginning of its digest",
    "Go on only if the tag names this now",
    "You met a message that you did not expect",
    "Have an image",
    "Name it for the registry",
    "See that it arrived",
    "An image goes where its name says",
    "Pushing to a tag that exists",
    "replaces what it names, without a question",
    "packs the layers anew, so it is another",
    "What stands under MAIN is the bad one",
    "The line is the digest of above",
    "Another processor than the servers'",
    "The least that works",
    "no wall against an attacker",
    "Does my repository follow",
    "mend what it names",
    "GitHub's, for a reason",
    "The facts, in short",
    "until the day",
    "start that on each server",
    "nobody can tell",
)
FALSE = ("never be overwritten", "cannot be overwritten", "can't be overwritten", "immutable")
"""What was said of a release, although the registry lets it be overwritten."""


def found_in(text, phrases):
    flat = " ".join(text.split())
    return {phrase for phrase in phrases if phrase in flat}


def literals(path):
    """Return a source's text with adjacent parts of a string literal joined."""
    return re.sub(r'"\s*\n\s*f?"', "", path.read_text())


@pytest.mark.parametrize("page", words.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_phrase_of_the_list_or_a_false_sentence(page):
    assert found_in(words.prose(page.read_text()), PHRASES + FALSE) == set()


@pytest.mark.parametrize("page", words.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_is_in_british_spelling(page):
    assert words.count(page.read_text())["British"] == 0


def test_no_message_has_a_phrase_of_the_list_or_a_false_sentence():
    sources = (*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.toml"))
    found = {phrase for path in sources for phrase in found_in(literals(path), PHRASES + FALSE)}
    assert found == set()


def test_there_is_one_procedure_for_a_leaked_token_and_a_link_to_it():
    steps = re.compile(r"^\d\. \*\*Revoke it", re.MULTILINE)
    assert [page.name for page in words.pages() if steps.search(page.read_text())] == [
        "security.md"
    ]
    credentials = (ROOT / "notebooks" / "credentials.md").read_text()
    assert "(../docs/security.md#if-a-token-has-leaked)" in credentials


@pytest.mark.parametrize(
    "message",
    [
        "failed to connect to the docker API at unix:///var/run/docker.sock",
        "permission denied while trying to connect to the docker API",
    ],
)
def test_messages_of_docker_29_are_there_and_marked_as_not_recorded(message):
    page = " ".join((ROOT / "notebooks" / "troubleshooting.md").read_text().split())
    assert re.search(rf"`{message}` instead \(reported publicly, not recorded here\)", page)


def test_the_report_counts_words_in_prose_alone():
    text = (
        "---\ntold: 1\n---\nA tag\nnames it. `told`\n\n```text\ntold\n```\n\nSomebody told you.\n"
    )
    counted = {name: number for name, number in words.count(text).items() if number}
    assert counted == {"names": 1, "told": 1, "somebody": 1}
