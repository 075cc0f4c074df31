"""Docker's logins as files hold them: each entry is read by itself."""

import tomllib

import pytest

from conftest import ROOT
from megalotron_images.errors import CannotTell
from megalotron_images.registry.credentials import find_credentials

LOGINS = tomllib.loads((ROOT / "tests" / "specimens" / "logins.toml").read_text("utf-8"))["login"]


@pytest.fixture
def docker(monkeypatch, tmp_path):
    """Make Docker's folder hold a configuration, and the environment no other login."""

    def put(config, variable=""):
        (tmp_path / "config.json").write_text(config)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", variable)
        for name in ("REGISTRY_USERNAME", "REGISTRY_TOKEN"):
            monkeypatch.delenv(name, raising=False)

    return put


@pytest.mark.parametrize("login", LOGINS, ids=lambda login: login["name"])
def test_a_damaged_entry_hides_no_other(login, docker):
    docker(login["config"], login.get("variable", ""))
    found = find_credentials("ghcr.io")
    assert (found.username if found else "") == login["user"]
    if found:
        assert found.password in login["secrets"]
        assert not [secret for secret in login["secrets"] if secret in repr(found)]


def test_a_login_that_is_damaged_and_the_only_one_is_said(docker):
    docker('{"auths": {"ghcr.io": {"auth": "%"}, "x": {"auth": "eDp5"}}}')
    with pytest.raises(CannotTell, match="damaged"):
        find_credentials("ghcr.io")


@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t"])
def test_user_name_and_token_are_read_without_the_space_around_them(space, docker, monkeypatch):
    docker("{}")
    monkeypatch.setenv("REGISTRY_USERNAME", f"octocat{space}")
    monkeypatch.setenv("REGISTRY_TOKEN", f"{space}practice-one{space}")
    found = find_credentials("ghcr.io")
    assert (found.username, found.password) == ("octocat", "practice-one")
