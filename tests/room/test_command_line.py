"""The command `megalotron-images` as a person meets it, in a room."""

import base64
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest_room import MAY_PUSH, put_image, registry_process
from megalotron_images.convention import STACKS, MovingTag, Reference, Release, parse_reference
from megalotron_images.errors import Stopped
from megalotron_images.plan import LocalImage
from megalotron_images.registry.client import Free, Taken
from megalotron_images.verbs.publish import describe
from rehearsal.room.engine import CONTAINERD, read_engine
from rehearsal.room.paths import ENGINE, PROJECT, ROOM
from semver import Version

IMAGE = "megalotron/backend"
STORE = read_engine(ENGINE).store
PROGRAM = Path(sys.executable).parent / "megalotron-images"
VERBS = (
    "check",
    "status",
    "running",
    "digest",
    "next",
    "publish",
    "promote",
    "tags-for",
    "doctor",
    "audit",
)

STOPPED_WHILE_IT_LOADS = """
import os, signal, sys
from megalotron_images import start

class Stops:
    def find_spec(self, name, *rest):
        if name == "urllib3":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Stops())
sys.argv[1:] = ["status"]
start.main()
"""
STOPPED_TWICE = """
import os, signal, time
from megalotron_images import cli, release, start
from megalotron_images.errors import Stopped

def write():
    with release._adding("v1.0.0 may have been written.", (Stopped,)):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

cli.app = write
start.main()
"""
HISTORY = [("v1.9.0", "2025-01-14"), ("v1.10.0", "2025-02-25")]


def in_a_terminal(*arguments, types):
    """Run the command in a terminal where a person types a line; return the status and all that was
    shown.
    """
    environment = os.environ | {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
    pid, terminal = pty.fork()
    if not pid:
        os.execve(PROGRAM, [str(PROGRAM), *arguments], environment)
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        if b"to write it: " in shown and types is not None:
            os.write(terminal, f"{types}\n".encode())
            types = None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.main
def test_a_write_waits_for_the_full_reference(registry, make_image):
    make_image("one")
    status, shown = in_a_terminal(
        "publish", "backend", "v1.0.0", "--image", "one", types=f"ghcr.io/{IMAGE}:v1.0.0"
    )
    assert status == 0, shown
    assert isinstance(registry.state(IMAGE, "v1.0.0"), Taken)


@pytest.mark.parametrize(
    "typed", ["", "y", "yes", "v1.0.0", f"ghcr.io/{IMAGE}:v1.0.1", f"ghcr.io/{IMAGE}:v1.0.0 x"]
)
def test_any_other_answer_writes_nothing(typed, registry, make_image):
    make_image("one")
    status, shown = in_a_terminal("publish", "backend", "v1.0.0", "--image", "one", types=typed)
    assert status == 1
    assert "nothing was written" in shown
    assert registry.tags(IMAGE) == []


@pytest.mark.main
def test_without_a_terminal_nothing_is_written_unless_yes_is_said(registry, cli):
    manifest = put_image(registry, IMAGE, "v1.0.0")
    done = cli("promote", "backend", "v1.0.0")
    assert done.returncode == 1
    assert "add --yes" in done.stderr
    assert registry.state(IMAGE, "main") == Free()
    done = cli("promote", "backend", "v1.0.0", "--yes")
    assert done.stdout == f"ghcr.io/{IMAGE}:main@{manifest.digest}\n"


@pytest.mark.main
@pytest.mark.parametrize("verb", ["publish", "promote"])
def test_a_dry_run_writes_nothing(verb, registry, cli, make_image):
    put_image(registry, IMAGE, "v1.0.0")
    make_image("one")
    rest = ("v1.1.0", "--image", "one") if verb == "publish" else ("v1.0.0",)
    done = cli(verb, "backend", *rest, "--dry-run", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" would be written. Nothing was written.\n")
    assert json.loads(cli(verb, "backend", *rest, "--dry-run", "--json").stdout)["writes"] is True
    assert registry.tags(IMAGE) == ["v1.0.0"]


def test_an_image_is_shown_with_its_id_and_age_before_the_question(registry, make_image):
    image = make_image("one")
    status, shown = in_a_terminal("publish", "backend", "v1.0.0", "--image", "one", types="no")
    assert status == 1
    before, _, _ = shown.partition("to write it: ")
    assert re.search(rf"one is {image.id}, built \d+ seconds? ago\.", before), shown


def test_who_publishes_an_id_never_publishes_what_somebody_else_has_built_under_its_name(
    registry, cli, make_image
):
    mine = make_image("shared")
    checked = cli("check", f"ghcr.io/{IMAGE}:v1.0.0", "--image", "shared")
    shown = re.search(r"^ok  image     shared is (sha256:[0-9a-f]{64})$", checked.stdout, re.M)[1]
    assert shown == mine.id
    done = cli("publish", "backend", "v1.0.0", "--image", shown, "--yes")
    assert done.returncode == 0, done.stderr
    assert mine.is_in(registry.manifest(IMAGE, "v1.0.0"))
    make_image("shared")
    done = cli("publish", "backend", "v1.1.0", "--image", shown, "--yes")
    if STORE == CONTAINERD:  # it drops an image whose last name is given to another
        assert done.returncode == 3
        assert f"No image {shown} in your engine" in done.stderr
        assert "v1.1.0" not in registry.tags(IMAGE)
    else:
        assert done.returncode == 0, done.stderr
        assert mine.is_in(registry.manifest(IMAGE, "v1.1.0"))


@pytest.mark.parametrize(
    ("created", "age"),
    [
        ("2026-01-02T03:03:59.123456789Z", "1 second ago"),
        ("2026-01-02T03:01:01Z", "2 minutes ago"),
        ("2026-01-01T03:04:00+01:00", "1 day ago"),
        ("2026-01-02T03:05:00Z", "0 seconds ago"),
        ("", "at an unknown time"),
    ],
)
def test_the_age_of_an_image_is_in_words(created, age):
    image = LocalImage("one", "sha256:1", frozenset(), created=created)
    now = datetime(2026, 1, 2, 3, 4, 0, 500_000, UTC)
    assert describe(image, now) == f"one is sha256:1, built {age}."


@pytest.mark.main
def test_the_next_version_is_alone_on_its_line(registry, cli):
    put_image(registry, IMAGE, "v1.2.3")
    assert cli("next", "backend").stdout == "v1.2.4\n"
    assert cli("next", "backend", "--minor").stdout == "v1.3.0\n"
    assert cli("next", "backend", "--major").stdout == "v2.0.0\n"
    assert json.loads(cli("next", "backend", "--json").stdout) == {
        "stack": "backend",
        "version": "v1.2.4",
    }
    assert cli("next", "backend", "--minor", "--major").returncode == 2


@pytest.mark.main
def test_check_answers_each_question_and_its_status_says_the_worst(registry, cli, make_image):
    put_image(registry, IMAGE, "v1.2.3")
    make_image("one")
    done = cli("check", f"ghcr.io/{IMAGE}:v1.2.4")
    assert (done.returncode, [line.split()[:2] for line in done.stdout.splitlines()]) == (
        0,
        [["ok", "name"], ["ok", "tag"], ["ok", "version"]],
    )
    assert cli("check", f"ghcr.io/{IMAGE}:v1.2.3").returncode == 1
    assert cli("check", f"ghcr.io/{IMAGE}:v1.2.2").returncode == 1
    assert cli("check", "ghcr.io/megalotron/Backend:v1.2.4").returncode == 1
    done = cli("check", f"ghcr.io/{IMAGE}:v1.2.4", "--image", "one", "--json")
    verdicts = {finding["about"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert verdicts == dict.fromkeys(("name", "image", "tag", "version", "platform"), "ok")


@pytest.mark.main
def test_status_has_a_row_for_each_stack_or_with_digests_for_each_tag(registry, cli):
    first, second = (put_image(registry, IMAGE, tag) for tag in ("v1.0.0", "v1.1.0"))
    registry.put(IMAGE, "main", first)
    registry.put(IMAGE, "dev", second)
    assert cli("status", "backend").stdout.splitlines()[1].split() == [
        "backend", "v1.1.0", "v1.0.0", "v1.1.0",
    ]  # fmt: skip
    listed = cli("status", "backend", "--digests").stdout
    assert re.search(rf"^backend +newest +v1.1.0 +{second.digest}$", listed, re.MULTILINE)
    assert re.search(rf"^backend +main +v1.0.0 +{first.digest}$", listed, re.MULTILINE)
    assert json.loads(cli("status", "backend", "--json").stdout) == [
        {
            "stack": "backend",
            "newest": {"digest": second.digest, "release": "v1.1.0"},
            "main": {"digest": first.digest, "release": "v1.0.0"},
            "dev": {"digest": second.digest, "release": "v1.1.0"},
        }
    ]
    assert len(cli("status").stdout.splitlines()) == 1 + len(STACKS)


def test_status_tells_what_is_no_release_by_its_digest(registry, cli):
    built = put_image(registry, IMAGE, "dev")
    assert cli("status", "backend").stdout.splitlines()[1].split() == [
        "backend", "-", "-", built.digest[:19],
    ]  # fmt: skip


@pytest.mark.main
def test_digest_answers_for_any_image_of_the_registry(registry, cli):
    manifest = put_image(registry, "megalotron/alpine", "test")
    assert cli("digest", "ghcr.io/megalotron/alpine:test").stdout == f"{manifest.digest}\n"
    assert (
        cli("digest", f"ghcr.io/megalotron/alpine@{manifest.digest}").stdout
        == f"{manifest.digest}\n"
    )
    assert cli("digest", "ghcr.io/megalotron/alpine:other").stdout == "nothing\n"
    said = json.loads(cli("digest", "ghcr.io/megalotron/alpine:test", "--json").stdout)
    assert (said["digest"], said["user"]) == (manifest.digest, "octocat")
    for odd in (
        "alpine",
        "ghcr.io/megalotron/alpine:test?x=1",
        "ghcr.io/megalotron/alpine:../tags/list",
    ):
        assert cli("digest", odd).returncode == 1


@pytest.mark.main
def test_a_refused_login_is_told_with_where_it_came_from(cli, registry):
    done = cli("status", token="practice-token-expired")
    assert done.returncode == 3
    assert (
        "The login is from REGISTRY_USERNAME and REGISTRY_TOKEN: set or unset them." in done.stderr
    )


@pytest.mark.parametrize("context", ["nowhere", "an/odd name"])
def test_another_engine_than_that_of_the_context_is_never_used(context, cli, registry, make_image):
    make_image("one")
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = cli(
        "publish",
        "backend",
        "v1.0.0",
        "--image",
        "one",
        "--yes",
        env=environment | {"DOCKER_CONTEXT": context},
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert registry.tags(IMAGE) == []


def test_status_lists_every_release_of_a_stack(registry, cli):
    digests = [put_image(registry, IMAGE, tag, created=day).digest for tag, day in HISTORY]
    done = cli("status", "backend", "--releases")
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert rows == [
        ["backend", tag, day, d]
        for (tag, day), d in zip(reversed(HISTORY), reversed(digests), strict=True)
    ]


def test_a_day_that_is_none_is_not_shown(registry, cli):
    put_image(registry, IMAGE, "v1.0.0", created="a\nday")
    done = cli("status", "backend", "--releases")
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["BUILT", "-"]


@pytest.mark.main
def test_doctor_says_what_is_wrong_and_what_to_do(cli, registry):
    assert cli("doctor").returncode == 0
    for token, step in (
        ("", "docker login ghcr.io"),
        ("practice-token-only-reads", "write:packages"),
        ("x", "again"),
    ):
        done = cli("doctor", token=token)
        assert done.returncode == 1
        assert step in done.stdout
    done = cli("doctor", env=os.environ | {"DOCKER_HOST": "unix:///nowhere"})
    said = "engine    The Docker engine at unix:///nowhere does not respond (No such file"
    assert said in done.stdout
    assert "Start it" in done.stdout


@pytest.mark.parametrize("scheme", ["ssh", "SSH", "tcp", "unix"])
def test_the_password_in_an_engines_address_is_not_shown(scheme, cli):
    address = f"{scheme}://me:planted-p@ss@127.0.0.1:9"
    done = cli("publish", "backend", "v1.0.0", "--yes", env=os.environ | {"DOCKER_HOST": address})
    assert done.returncode == 3
    assert "://127.0.0.1:9" in done.stderr
    assert "planted-p" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_configuration_that_cannot_be_used_is_not_said_to_be_the_engines_fault(cli, tmp_path):
    (tmp_path / "config.json").write_text('{"auths": {"x": null}}')
    done = cli("doctor", "backend", env=os.environ | {"DOCKER_CONFIG": str(tmp_path)})
    assert "cannot be used (Invalid configuration for registry x)" in done.stdout
    assert "Start it" not in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb, cli):
    done = cli(verb, "--help")
    assert done.returncode == 0
    assert f"Example: megalotron-images {verb}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "wrong", [("chek",), ("publish", "backend"), ("promote", "backend", "v1.0.0", "--to", "prod")]
)
def test_a_wrong_command_line(wrong, cli):
    assert cli(*wrong).returncode == 2


def test_half_of_the_credentials_is_said(cli):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")
    }
    done = cli("status", env=environment | {"REGISTRY_TOKEN": "x"})
    assert done.returncode == 3
    assert (
        done.stderr
        == "megalotron-images: REGISTRY_TOKEN is set, and REGISTRY_USERNAME is not: set both, or"
        " neither.\n"
    )


def test_an_image_that_is_not_in_the_engine(cli, registry):
    done = cli("publish", "backend", "v1.0.0", "--image", "nowhere", "--yes")
    assert done.returncode == 3
    assert "No image nowhere in your engine" in done.stderr


def test_a_netrc_changes_nothing(registry, cli):
    netrc = Path.home() / ".netrc"
    netrc.write_text("default login stranger password strangers-password\n")
    try:
        put_image(registry, IMAGE, "v1.0.0")
        assert cli("promote", "backend", "v1.0.0", "--yes").returncode == 0
        assert cli("status", token="").returncode == 0
    finally:
        netrc.unlink()


def test_every_reference_that_a_verb_prints_is_read_by_every_verb_that_takes_one(
    registry, cli, make_image
):
    make_image("one")
    printing = (
        ("publish", "backend", "v1.0.0", "--image", "one", "--dry-run"),
        ("publish", "backend", "v1.0.0", "--image", "one", "--yes"),
        ("publish", "backend", "v1.0.0", "--image", "one", "--yes", "--json"),
        ("promote", "backend", "v1.0.0", "--dry-run"),
        ("promote", "backend", "v1.0.0", "--yes"),
        ("promote", "backend", "v1.0.0", "--to", "dev", "--yes", "--json"),
        ("check", f"ghcr.io/{IMAGE}:v1.0.0"),
        ("digest", f"ghcr.io/{IMAGE}:main", "--json"),
        ("status", "backend", "--digests"),
    )
    done = [cli(*arguments) for arguments in printing]
    printed = "\n".join(one.stdout + one.stderr for one in done)
    digest = registry.state(IMAGE, "main").digest
    names = set(re.findall(r"ghcr\.io/[\w./-]+(?::[\w.-]*\w)?(?:@sha256:[0-9a-f]{64})?", printed))
    names.add(f"ghcr.io/{IMAGE}@{digest}")
    assert {f"ghcr.io/{IMAGE}:{tag}@{digest}" for tag in ("v1.0.0", "main")} <= names
    for name in names:
        read = cli("digest", name)
        assert (read.returncode, read.stdout) == (0, f"{digest}\n"), (name, read.stderr)
        if f"{IMAGE}:" in name:
            read = cli("check", name)
            assert "follows the convention" in read.stdout, name
            assert (read.returncode == 0) == ("@" in name or ":main" in name or ":dev" in name)
    read = cli("promote", "backend", "v1.0.0", "--expect", digest, "--yes")
    assert read.returncode == 0, read.stderr


def test_a_tag_that_points_elsewhere_than_its_name_says_is_no(registry, cli):
    put_image(registry, IMAGE, "v1.0.0")
    name = f"ghcr.io/{IMAGE}:v1.0.0@sha256:{'0' * 64}"
    for tag in ("v1.0.0", "v2.0.0"):
        done = cli("check", name.replace("v1.0.0", tag))
        assert done.returncode == 1
        assert "no  digest" in done.stdout
        assert cli("digest", name.replace("v1.0.0", tag)).returncode == 3


PLANTED = "practice-token-may-push"


def forms(secret):
    found = [secret, quote(secret, safe="")]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + f"octocat:{secret}".encode()).decode()
        found.append(encoded[4:-4])
    return found


@pytest.mark.main
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
def test_the_token_appears_nowhere(debug, registry, cli, make_image, tmp_path):
    make_image("one", size=8_000_000)
    seen, ended = set(), threading.Event()

    def watch_processes():
        while not ended.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.01)

    watcher = threading.Thread(target=watch_processes)
    watcher.start()
    begin = time.time()
    said = []
    for arguments in (
        ("doctor",),
        ("publish", "backend", "v1.0.0", "--image", "one", "--yes"),
        ("publish", "backend", "v0.1.0", "--image", "one", "--yes"),
        ("promote", "backend", "v1.0.0", "--yes"),
        ("promote", "backend", "v9.0.0", "--yes"),
        ("status", "--json"),
    ):
        done = cli(*debug, *arguments, cwd=tmp_path)
        said.append(done.stdout + done.stderr)
    ended.set()
    watcher.join()
    files = [
        path
        for folder in (tmp_path, Path.home(), Path("/tmp"), ROOM / "log", ROOM / "engine")
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mtime >= begin and path.stat().st_size < 2**24
    ]
    everything = (
        "\n".join(said).encode()
        + b"\n".join(seen)
        + b"\n".join(path.read_bytes() for path in files)
    )
    assert len(files) > 2
    for form in forms(PLANTED):
        assert form.encode() not in everything


parts = st.integers(0, 10**4)
pre = st.lists(
    st.from_regex(r"(0|[1-9][0-9]{0,5}|[0-9A-Za-z-]*[A-Za-z-][0-9A-Za-z-]*)", fullmatch=True),
    max_size=3,
)
prereleases = pre.map(lambda identifiers: ".".join(identifiers)[:60].rstrip(".") or None)
releases = st.builds(
    lambda a, b, c, p: Release(Version(a, b, c, p)), parts, parts, parts, prereleases
)
references = st.builds(
    Reference, st.sampled_from(STACKS), st.one_of(releases, st.sampled_from(list(MovingTag)))
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(references)
def test_no_accepted_reference_is_refused_by_distribution(registry, reference):
    assert parse_reference(str(reference)) == reference
    if not hasattr(registry, "manifests"):
        registry.manifests = {}
    image = reference.stack.image
    manifest = registry.manifests.setdefault(image, None) or put_image(registry, image, "v0.0.1")
    registry.manifests[image] = manifest
    registry.put(image, str(reference.tag), manifest)
    assert registry.state(image, str(reference.tag)) == Taken(manifest.digest)


def test_the_project_has_no_other_verb_than_those_tested():
    done = subprocess.run(
        [PROGRAM, "--help"], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    listed = done.stdout.partition("Commands:")[2].partition("Exit status")[0]
    assert set(re.findall(r"^  (\w[\w-]*)  ", listed, re.MULTILINE)) == set(VERBS)
    assert "..." not in listed


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_in_words(verb, cli):
    done = cli(verb, "--help", env=os.environ | {"COLUMNS": "80"})
    assert not re.search(r"<bool>|\[\[|\.\.\.\]\.\.\.|Value error", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_wrong_choice_is_told_in_words(cli):
    done = cli("promote", "backend", "v1.0.0", "--to", "prod")
    assert "Invalid value for '--to': 'prod' is not one of 'main', 'dev'." in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_verbs_are_completed(shell, cli):
    words = {"COMP_WORDS": "megalotron-images pro", "COMP_CWORD": "pro" if shell == "fish" else "1"}
    done = cli(env=os.environ | words | {"_MEGALOTRON_IMAGES_COMPLETE": f"{shell}_complete"})
    assert "promote" in done.stdout
    assert "publish" not in done.stdout


def test_completion_is_switched_on_by_the_line_that_the_readme_shows(cli):
    line = re.search(r'`(eval "[^`]*")`', (PROJECT / "README.md").read_text())[1]
    script = f"PATH={PROGRAM.parent}:$PATH; {line}; complete -p megalotron-images"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("megalotron-images\n")


@pytest.mark.parametrize("arguments", [(), ("--digests",)])
def test_a_table_fits_a_terminal_with_short_digests(arguments, registry):
    put_image(registry, IMAGE, "v1.0.0")
    command = [str(PROGRAM), "status", "backend", "--releases", *arguments]
    shown = []
    status = pty.spawn(command, lambda terminal: shown.append(os.read(terminal, 4096)) or shown[-1])
    assert status == 0
    lines = b"".join(shown).decode().splitlines()
    digests = re.findall(r"sha256:[0-9a-f]+", "\n".join(lines))
    assert {len(digest) for digest in digests} == {71 if arguments else 19}
    assert arguments or max(map(len, lines)) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_is_no_error(encoding, cli):
    done = cli("promote", "--help", env=os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"})
    assert done.returncode == 0


@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_what_is_said_beside_the_answer_may_be_lost(where, registry, make_image):
    """A status is right, and the answer alone is on stdout, where stderr is closed or full."""
    put_image(registry, IMAGE, "v1.0.0")
    commands = {"digest nowhere": 1, "nowhere": 2, "promote backend v1.0.0 --yes": 0}
    for command, status in commands.items():
        environment = {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
        done = subprocess.run(
            ["sh", "-c", f'"$0" {command} 2{where}', str(PROGRAM)],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == status or (where, status) == (">/dev/full", 2), command
        assert len(done.stdout.splitlines()) == (status == 0), done.stdout


def test_ctrl_c_while_the_command_is_loaded_is_one_line():
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_WHILE_IT_LOADS], capture_output=True, text=True, check=False
    )
    assert done.stderr == "megalotron-images: Stopped: nothing was written.\n"
    assert done.returncode == 3


def test_a_second_ctrl_c_does_not_take_back_what_is_known_of_a_write():
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_TWICE], capture_output=True, text=True, check=False
    )
    assert done.stderr == "megalotron-images: Stopped: v1.0.0 may have been written.\n"
    assert done.returncode == 3


def test_ctrl_c_is_no_finding_and_no_failure_of_a_login():
    """What handles failures lets it pass, so the command ends."""
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("step", ["at the question", "while it pushes"])
def test_ctrl_c_ends_at_once_and_says_what_was_written(step, registry, make_image):
    make_image("large", size=40_000_000 if step == "while it pushes" else 16)
    environment = os.environ | {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
    arguments = ["publish", "backend", "v1.0.0", "--image", "large"]
    pid, terminal = pty.fork()
    if not pid:
        os.execve(PROGRAM, [str(PROGRAM), *arguments], environment)
    read_until(b"to write it: ", terminal)
    process = registry_process()
    try:
        if step == "while it pushes":
            os.write(terminal, f"ghcr.io/{IMAGE}:v1.0.0\n".encode())
            read_until(b"push large to", terminal)
            process.suspend()  # the push cannot end before it is interrupted
        time.sleep(0.3)
        os.write(terminal, b"\x03")
        threading.Timer(1, process.resume).start()
        shown = read_until(None, terminal)
    finally:
        process.resume()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3, shown
    assert b"Stopped: " in shown
    assert b"was" in shown.rpartition(b"Stopped: ")[2]
    assert b"written" in shown.rpartition(b"Stopped: ")[2]
    assert "v1.0.0" not in registry.tags(IMAGE)


def read_until(words, terminal):
    """Return what a program shows until the words come, or, for None, until it ends."""
    shown = b""
    while words is None or words not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            assert words is None, shown
            break
    return shown


def test_the_version_is_told():
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)
