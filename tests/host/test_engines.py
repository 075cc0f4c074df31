"""Engines: which one a room gets, what each can do, and what is said where it is another than the
recorded one.
"""

import json
import os
import shutil
import subprocess

import pytest

from conftest import ROOT, rehearsal
from rehearsal.errors import CannotCheck
from rehearsal.room.engine import choose_engine
from rehearsal.settings import STORES, load_settings
from test_verify import write_pair

HERE = sorted(file.parent.name for file in (ROOT / "engines").glob("*/versions.json"))
PAIRS = [
    (name, store)
    for name in HERE
    for store in STORES
    if (name, store) != ("debian-12", "containerd")
]
WITH_CONTAINERD = [name for name, store in PAIRS if store == "containerd"]


def path_of(name):
    """Return a PATH in which the machine's own Docker is that of a set."""
    folders = [str(ROOT / "engines" / name / "usr" / place) for place in ("bin", "sbin")]
    return os.pathsep.join([*folders, os.environ["PATH"]])


def in_room(script, name, store):
    return rehearsal(
        "room",
        "--engine",
        name,
        "--store",
        store,
        "--",
        "bash",
        "-euc",
        script,
        cwd=ROOT / "notebooks",
    )


def test_the_engines_that_the_tests_need_are_here():
    assert {"debian-12", "debian-13"} <= set(HERE)


@pytest.mark.parametrize(("name", "store"), PAIRS)
def test_a_room_has_the_engine_its_plugins_and_its_store(name, store):
    asks = (
        "docker compose version; docker buildx version; docker info --format '{{.ServerVersion}}"
        " {{.DriverStatus}}'"
    )
    done = in_room(asks, name, store)
    assert done.returncode == 0, done.stderr
    compose, buildx, info = done.stdout.splitlines()
    versions = json.loads((ROOT / "engines" / name / "versions.json").read_text())
    assert versions["compose"] in compose
    assert versions["buildx"] in buildx
    assert info.startswith(versions["docker"])
    assert ("io.containerd.snapshotter.v1" in info) == (store == "containerd")


NETWORKS = """
cd /tmp
docker pull --quiet alpine >/dev/null
docker run --detach --name web --publish 8080:80 alpine busybox httpd -f -h /etc >/dev/null
until curl --silent --fail localhost:8080/hosts >/dev/null; do sleep 0.1; done
gateway=$(docker inspect web --format '{{.NetworkSettings.Networks.bridge.Gateway}}')
printf 'FROM alpine\\nRUN busybox wget -q -O /got http://%s:8080/hosts\\n' "$gateway" >Dockerfile
docker build --quiet --tag built . >/dev/null
docker run --rm built busybox grep -c localhost /got
printf 'services: {web: {image: alpine, command: busybox httpd -f -h /etc, ports: ["8081:80"]}}' \\
  >compose.yaml
docker compose --progress quiet up --detach
until curl --silent --fail localhost:8081/hosts >/dev/null; do sleep 0.1; done
docker compose port web 80
docker compose --progress quiet down
docker ps --format '{{.Names}}'
! docker run --rm --privileged -v /usr:/there alpine busybox mount -o remount,bind,rw /there
"""


@pytest.mark.parametrize(("name", "store"), PAIRS)
def test_a_room_publishes_ports_builds_with_a_network_and_composes(name, store):
    done = in_room(NETWORKS, name, store)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["2", "0.0.0.0:8081", "web"]
    assert "permission denied" in done.stderr


TWO_PLATFORMS = """
echo practice-token-may-push | docker login ghcr.io -u octocat --password-stdin >/dev/null 2>&1
docker buildx build --quiet --platform linux/amd64,linux/arm64 \\
  --tag ghcr.io/megalotron/sniffer:v3.0.0 examples/backend
docker push --quiet ghcr.io/megalotron/sniffer:v3.0.0
megalotron-images digest ghcr.io/megalotron/sniffer:v3.0.0
docker image rm ghcr.io/megalotron/sniffer:v3.0.0 >/dev/null
docker pull --quiet ghcr.io/megalotron/sniffer:v3.0.0
docker image ls --quiet --no-trunc ghcr.io/megalotron/sniffer
megalotron-images promote sniffer v3.0.0 --yes
megalotron-images digest ghcr.io/megalotron/sniffer:main
"""


@pytest.mark.parametrize("name", WITH_CONTAINERD)
def test_a_build_for_two_platforms_keeps_its_digest_from_build_to_promotion(name):
    done = in_room(TWO_PLATFORMS, name, "containerd")
    assert done.returncode == 0, done.stderr
    digests = {
        line[line.index("sha256:") :] for line in done.stdout.splitlines() if "sha256:" in line
    }
    assert len(digests) == 1, done.stdout


def test_the_graph_driver_refuses_a_build_for_two_platforms_in_one_line():
    build = (
        "docker buildx build --quiet --platform linux/amd64,linux/arm64 --tag both examples/backend"
    )
    done = in_room(build, "debian-13", "graph")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "platform build is not supported" in line]
    assert len(said) == 1, done.stderr


def test_an_engine_without_that_store_says_so():
    done = rehearsal("room", "--engine", "debian-12", "--store", "containerd", "--", "true")
    assert (done.returncode, "has no store containerd: choose graph" in done.stderr) == (3, True)


def test_an_engine_that_is_not_here_is_told_with_those_that_are():
    done = rehearsal("verify", "--engine", "debian-99")
    assert done.returncode == 3
    assert "debian-13" in done.stderr


def test_a_machine_with_too_old_a_docker_is_told_what_to_do():
    done = rehearsal("room", "--engine", "machine", "--", "true", PATH=path_of("debian-12"))
    assert (done.returncode, "24 or newer" in done.stderr) == (3, True)


def test_without_the_recorded_set_a_new_enough_docker_of_the_machine_serves(project, monkeypatch):
    (project / "pyproject.toml").write_text(
        (project / "pyproject.toml").read_text().replace(f"{ROOT}/engines", "none")
    )
    monkeypatch.setenv("PATH", path_of("debian-13"))
    assert choose_engine(load_settings(project)).name == "machine"
    monkeypatch.setenv("PATH", path_of("debian-12"))
    with pytest.raises(CannotCheck, match="24 or newer"):
        choose_engine(load_settings(project))


@pytest.fixture
def recorded_elsewhere(project):
    """A project whose pages are recorded on an engine of which the machine's own differs in
    words.
    """
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace("debian-13", "debian-12"))
    return project


def test_other_words_on_an_unknown_engine_are_listed_and_not_called_wrong(recorded_elsewhere):
    text = recorded_elsewhere / "notebooks" / "push-an-image.ipynb"
    text.write_text(text.read_text().replace('"Login Succeeded', '"Login went well'))
    done = rehearsal(
        "verify", "--engine", "machine", cwd=recorded_elsewhere, PATH=path_of("debian-13")
    )
    assert done.returncode == 3, done.stdout
    assert "Login went well" in done.stdout
    assert "is not recorded on" in done.stderr


def test_another_status_on_an_unknown_engine_is_wrong(recorded_elsewhere):
    for suffix in (".md", ".ipynb"):
        text = recorded_elsewhere / "notebooks" / f"push-an-image{suffix}"
        text.write_text(text.read_text().replace("docker tag alpine ", "docker tag alpin "))
    done = rehearsal(
        "verify", "--engine", "machine", cwd=recorded_elsewhere, PATH=path_of("debian-13")
    )
    assert done.returncode == 1, done.stdout


def test_an_archive_that_cannot_be_reached_leaves_nothing_and_is_told(tmp_path):
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "engines", tmp_path / "scripts")
    environment = os.environ | {"DEBIAN_MIRROR": "http://127.0.0.1:1/debian"}
    done = subprocess.run(
        [script, "debian-13"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "The engine debian-13 is not here" in done.stderr
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["debian-13.log"]


def test_a_part_of_the_notebooks_can_be_verified_alone(project):
    for name in ("one", "other"):
        write_pair(project / "notebooks", name, "```bash\ntest 1 = 1\n```\n")
    done = rehearsal("verify", "--shard", "1/3", cwd=project)
    assert done.returncode == 0, done.stdout
    assert ": 1 notebook, 1 cell," in done.stdout
    assert rehearsal("verify", "--shard", "4/3", cwd=project).returncode == 2
