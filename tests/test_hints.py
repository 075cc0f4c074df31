"""Advice by cause: the specific ones first, and a new login for a bare refusal alone."""

import pytest

from megalotron_images.engine import _push_failed
from megalotron_images.errors import NameTaken
from megalotron_images.registry.hints import REFUSALS, explain, hint_for

REASONS = {
    "denied: You have exceeded a secondary rate limit. Please wait a few minutes.": "Wait some",
    "toomanyrequests: You have reached your pull rate limit": "Wait some",
    "denied: the organization has an IP allow list enabled, and your IP address is not permitted to"
    " access this resource.": "add your address",
    "denied: Resource protected by organization SAML enforcement.": "Configure SSO",
    "unauthorized: Resource protected by organization SAML enforcement.": "Configure SSO",
    "denied: The account is locked due to a billing issue.": "Billing",
    "denied: storage quota exceeded": "Billing",
    "denied: Repository was archived so is read-only.": "unarchive",
    "forbidden: Your account was suspended": "support.github.com",
    "denied: Resource not accessible by integration": "packages: write",
    "unavailable: the registry is under maintenance": "githubstatus",
    "certificate verify failed: certificate has expired (_ssl.c:1006)": "clock",
    "certificate verify failed: certificate is not yet valid (_ssl.c:1006)": "clock",
    "x509: certificate has expired or is not yet valid: current time 2020": "clock",
    "unauthorized: token used before issued": "clock",
    "certificate verify failed: Hostname mismatch, certificate is not valid for 'ghcr.io'.": (
        "something else answers as ghcr.io"
    ),
    "x509: certificate is valid for proxy.example, not ghcr.io": "something else answers",
    "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)": "something else answers",
}


@pytest.mark.parametrize("message", REASONS)
def test_a_refusal_that_names_its_reason_is_answered_by_it(message):
    said = explain(message)
    assert REASONS[message] in said
    assert "log in" not in said.lower().removeprefix(message.lower())
    assert said == explain(message, refused_login=True)


@pytest.mark.parametrize(
    "message",
    ["denied: the moon is full", "unauthorized: the moon is full", "unsupported: no", "status 403"],
)
def test_a_reason_that_is_not_known_gets_no_advice(message):
    assert explain(message) == f"{message}."


@pytest.mark.parametrize(
    "message", ["denied", "denied: denied", "denied: access denied", "unauthorized"]
)
def test_a_bare_refusal_asks_for_a_login(message):
    assert "Log in again" in explain(message)


@pytest.mark.parametrize("message", ["unauthorized", "unauthorized: authentication required"])
def test_a_login_that_was_refused_is_not_said_to_be_missing(message):
    assert "your login does not allow it" in explain(message, refused_login=True)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.said)
def test_each_refusal_is_found_by_its_own_words(refusal):
    assert hint_for(refusal.said) is refusal


@pytest.mark.parametrize(
    "said",
    [
        "tag does not exist: ghcr.io/megalotron/sniffer:staging",
        "An image does not exist locally with the tag: ghcr.io/megalotron/sniffer",
        "creating image ghcr.io/megalotron/sniffer:staging failed because it already exists, but"
        " accessing it also failed: No such image: ghcr.io/megalotron/sniffer:staging",
    ],
)
def test_a_name_that_another_push_took_is_taken_again(said):
    """So in races for one version, on both image stores."""
    assert isinstance(_push_failed(said), NameTaken)
    assert not isinstance(_push_failed("denied"), NameTaken)
