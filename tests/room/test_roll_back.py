"""Deploy and roll back: the pages' own commands on two servers, where only the pin may change."""

import json
import os
import shutil
import subprocess

import pytest

from copied import Terminal
from rehearsal.cell.syntax import FORM
from rehearsal.room.engine import machine_architecture
from rehearsal.room.images import Store, load_history
from rehearsal.room.paths import PROJECT, ROOM
from rehearsal.room.registry import replaced_by
from rehearsal.runbook.model import Runbook
from rehearsal.settings import load_settings

ROLL_BACK, DEPLOY = (
    Runbook(PROJECT / "notebooks" / f"{name}.md") for name in ("go-back", "use-in-production")
)
NAME = "ghcr.io/megalotron/backend"
MAIN = f"{NAME}:main"
REPOSITORY = ROOM / "registries/ghcr.io/docker/registry/v2/repositories/megalotron/backend"
UNHEALTHY = f"""FROM {NAME}:v1.4.0
STOPSIGNAL SIGKILL
CMD ["/bin/sh", "-c", "echo backend: no database; exec /bin/busybox tail -f /dev/null"]
"""


def commands(page, *words):
    """Return a page's cells that hold all the words, filled in but for the server's folder."""
    cells = [cell.shell for cell in page.text.code if cell.shell]
    found = [cell.script for cell in cells if all(word in cell.script for word in words)]
    values = {one.name: one.value for one in page.placeholders.values()}
    values |= {"folder on the server": "<folder on the server>"}
    return [FORM.sub(lambda match: values[match[1]], script) for script in found]


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def digest(reference):
    return run("megalotron-images", "digest", reference).strip()


def running(server):
    """Return the image and the health of what a server runs."""
    said = json.loads(run("docker", "compose", "ps", "--all", "--format", "json", cwd=server))
    return said["Image"], said["Health"]


def on(server, *scripts):
    """Run cells on a server as a shell that stops at the first error; return what they did."""
    filled = "\n".join(scripts).replace("<folder on the server>", str(server))
    command = ["bash", "-e", "-o", "pipefail", "-c", filled]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def pasted(server, script):
    """Paste a cell into a person's own shell, which goes on after an error."""
    return Terminal().paste(script.replace("<folder on the server>", str(server)), [])


def deploy(server):
    """Do what Use in production says: pin what `main` points to, check, start."""
    (before,), (pin,) = commands(DEPLOY, "before=$("), commands(DEPLOY, "image.history", "pull")
    (after,), (start,) = commands(DEPLOY, "after=$("), commands(DEPLOY, "up --detach")
    return on(server, before, pin, after, start)


def roll_back(server):
    return on(server, commands(ROLL_BACK, "up --detach")[0])


def settings_of(server):
    """Return a server's pin, the other lines of its `.env`, its mode and whether it is a link."""
    file = server / ".env"
    lines = file.read_text().splitlines()
    (pin,) = (line.removeprefix("IMAGE=") for line in lines if line.startswith("IMAGE="))
    rest = [line for line in lines if not line.startswith("IMAGE=")]
    return pin, (rest, file.stat().st_mode & 0o777, file.is_symlink())


def put(tag, named):
    """Let a tag of the stack point to a digest, whatever it was."""
    (REPOSITORY / "_manifests/tags" / tag / "current/link").write_text(named)


def publish(tag, image):
    run("megalotron-images", "publish", "backend", tag, "--image", image, "--yes")


@pytest.fixture
def good():
    return f"{NAME}@{digest(f'{NAME}:v1.4.0')}"


@pytest.fixture
def bad():
    return f"{NAME}@{digest(MAIN)}"


@pytest.fixture(autouse=True)
def company(tmp_path, monkeypatch):
    """The helper may push, Docker only reads; `main` points to v1.5.0."""
    monkeypatch.setenv("REGISTRY_USERNAME", "octocat")
    monkeypatch.setenv("REGISTRY_TOKEN", "practice-token-may-push")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "notebooks" / "examples", tmp_path / "examples")
    login = "echo practice-token-only-reads | docker login ghcr.io -u octocat --password-stdin"
    run("bash", "-c", login)
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    (settings, *_) = load_settings(PROJECT).registries
    store = Store(ROOM / "registries" / "ghcr.io", machine_architecture())
    store.seed((), load_history(PROJECT / settings.history))
    put("main", digest(f"{NAME}:v1.5.0"))


@pytest.fixture
def servers(tmp_path, good):
    """Two servers that run v1.4.0: one's `.env` is a link, the other's ends without a newline."""
    found = [tmp_path / f"server-{number}" for number in (1, 2)]
    for server in found:
        shutil.copytree(PROJECT / "notebooks" / "examples" / "server", server)
        (server / "image.history").unlink()
        (server / ".env").unlink()
        file = server / ".env"
        if server == found[0]:
            file = tmp_path / "secrets" / "backend.env"
            file.parent.mkdir()
            (server / ".env").symlink_to(file)
        file.write_text(
            f"# kept\nDB_PASSWORD='pa|ss&\\1 word'\nIMAGE={good}\n\nMY_IMAGE=other\nTOKEN=x=y"
        )
        file.chmod(0o600)
        run("docker", "compose", "up", "--detach", "--wait", cwd=server)
    yield found
    for server in found:
        run("docker", "compose", "down", cwd=server)


def test_nothing_but_the_pin_changes_and_the_previous_one_comes_back(servers, good, bad):
    for server, times in zip(servers, (2, 1), strict=True):
        _, rest = settings_of(server)
        for _ in range(times):
            done = deploy(server)
            assert done.returncode == 0, done.stderr
            assert "Everything else in .env is as before." in done.stdout
            assert settings_of(server) == (bad, rest)
            assert (server / "image.history").read_text() == f"IMAGE={good}\n"
        assert running(server) == (bad, "healthy")

        file = server / ".env"
        file.write_text(file.read_text().replace("TOKEN=x=y", "TOKEN=rotated"))
        _, rotated = settings_of(server)
        for _ in range(times):
            done = roll_back(server)
            assert done.stdout.splitlines()[-1] == f"{good} running healthy"
            assert settings_of(server) == (good, rotated)
        assert running(server) == (good, "healthy")
        assert sorted(one.name for one in server.iterdir()) == [
            ".env",
            "compose.yaml",
            "image.history",
        ]


def test_the_servers_are_back_before_main_and_then_get_the_fix(servers, good, bad):
    back, forward = commands(ROLL_BACK, "promote")
    for server in servers:
        assert deploy(server).returncode == 0
        assert len(commands(ROLL_BACK, "up --detach")[0].splitlines()) <= 5
        assert roll_back(server).returncode == 0
        assert digest(MAIN) == bad.partition("@")[2], "the server is first"
    ask = ["megalotron-images", "running", "backend"]
    assert subprocess.run(ask, check=False, capture_output=True).returncode == 1
    assert typed(back, MAIN)[0] == 0
    assert digest(MAIN) == good.partition("@")[2]

    (build,), (publishes,) = commands(ROLL_BACK, "docker build"), commands(ROLL_BACK, "publish")
    run("bash", "-ec", build)
    assert typed(publishes, f"{NAME}:v1.5.1")[0] == 0
    assert typed(forward, MAIN)[0] == 0
    fix = f"{NAME}@{digest(f'{NAME}:v1.5.1')}"
    _, by_day = commands(ROLL_BACK, "up --detach")
    for server in servers:
        assert on(server, by_day).stdout.splitlines()[-1] == f"{fix} running healthy"
        assert settings_of(server)[0] == fix
    assert "backend  v1.5.1  v1.5.1" in run(*ask)
    assert roll_back(servers[0]).stdout.splitlines()[-1] == f"{good} running healthy"


def test_a_failing_health_check_ends_in_time_with_the_logs_and_can_be_rolled_back(
    servers, good, tmp_path
):
    (tmp_path / "Dockerfile").write_text(UNHEALTHY)
    run("docker", "build", "--tag", "unhealthy", str(tmp_path))
    publish("v1.6.0", "unhealthy")
    run("megalotron-images", "promote", "backend", "v1.6.0", "--yes")
    (server, other), (logs,) = servers, commands(DEPLOY, "logs --no-log-prefix")
    _, rest = settings_of(server)
    done = deploy(server)
    assert done.returncode != 0
    assert "unhealthy" in done.stderr
    assert on(server, logs).stdout.endswith("backend: no database\n")
    assert roll_back(server).stdout.splitlines()[-1] == f"{good} running healthy"
    assert settings_of(server) == (good, rest)
    assert running(other) == (good, "healthy")


def test_a_pin_stays_where_the_registry_cannot_be_asked(servers):
    (pin,) = commands(DEPLOY, "image.history", "pull")
    before = settings_of(servers[0])
    (registry, *_) = load_settings(PROJECT).registries
    with replaced_by(registry, None):
        pasted(servers[0], f"digest=sha256:stale\n{pin}")
    assert settings_of(servers[0]) == before


def test_a_server_is_rolled_back_while_the_registry_is_down(servers, bad):
    assert deploy(servers[0]).returncode == 0
    put("main", digest(f"{NAME}:v1.3.2"))
    assert deploy(servers[0]).returncode == 0
    (registry, *_) = load_settings(PROJECT).registries
    with replaced_by(registry, None):
        assert roll_back(servers[0]).stdout.splitlines()[-1] == f"{bad} running healthy"


@pytest.mark.parametrize("history", [None, "", "\n"], ids=repr)
def test_a_pin_stays_where_there_is_no_previous_one(servers, history):
    if history is not None:
        (servers[0] / "image.history").write_text(history)
    before = settings_of(servers[0])
    pasted(servers[0], f"image=stale\n{commands(ROLL_BACK, 'up --detach')[0]}")
    assert settings_of(servers[0]) == before


def typed(script, reference, terminal=None):
    """Type a cell and its confirmation into a terminal; return its status and what it said."""
    return (terminal or Terminal()).paste(script, [("to write it: ", reference)])


def test_who_rolls_back_is_told_that_somebody_else_moved_main_in_the_meantime():
    back, _ = commands(ROLL_BACK, "promote")
    night = Terminal()
    night.bash.send(f"{back}\n")
    night.bash.expect("to write it: $")
    release = "megalotron-images promote backend v1.3.2"
    assert typed(release, MAIN)[0] == 0
    moved = digest(MAIN)
    night.bash.sendline(MAIN)
    night.bash.sendline('echo "status=$?"')
    night.bash.expect(r"status=(\d+)\r\n")
    assert night.bash.match[1] == "1", night.bash.before
    assert f"Someone else wrote {MAIN} at the same moment" in night.bash.before
    assert digest(MAIN) == moved
