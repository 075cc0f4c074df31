"""What is installed on a machine: README lists it, and nothing of it has a service."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
SERVICE = re.compile(
    r"^(/usr)?/lib/systemd/system/.*\.(service|socket|timer|path)$|^/etc/(init\.d|cron[^/]*)/.",
    re.MULTILINE,
)


def packages(variable):
    """Return Debian's names in a list of the Makefile, such as `ip=iproute2`."""
    (line,) = re.findall(rf"^{variable} := ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)
    return set(re.findall(r"=([a-z][\w.+-]*)", line))


def read(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def installed_with(names):
    """Return these packages and those that they bring to a bare Debian, as far as installed."""
    asked = "--recurse --installed --no-recommends --no-suggests --no-enhances --no-conflicts"
    brought = read("apt-cache", "depends", *asked.split(), "--no-breaks", "--no-replaces", *names)
    form = "${binary:Package} ${Priority} ${db:Status-Status}\n"
    known = (
        line.split() for line in read("dpkg-query", "--show", "--showformat", form).split("\n")
    )
    bare = {"required", "important", "standard"}
    here = {
        one[0].partition(":")[0]: one[1] not in bare for one in known if one[2:] == ["installed"]
    }
    return sorted(name for name in set(re.findall(r"^[\w.+-]+", brought, re.M)) if here.get(name))


def has_service(name):
    return SERVICE.search(read("dpkg", "--listfiles", name)) is not None


def test_readme_lists_all_that_is_installed():
    (section,) = re.findall(
        r"^## What is installed\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S
    )
    table = "".join(re.findall(r"^\|.*", section, re.M))
    listed = set(re.findall(r"`([a-z][\w.+-]*)`", table))
    others = set(re.findall(r"scripts/packages \S+=(\S+)", MAKEFILE))
    assert others
    assert packages("ROOM_PACKAGES") | packages("TEST_PACKAGES") | others <= listed


@pytest.mark.parametrize("variable", ["ROOM_PACKAGES", "TEST_PACKAGES"])
def test_no_package_of_the_lists_has_a_service(variable):
    names = [name for name in packages(variable) if name in installed_with(packages(variable))]
    assert names
    assert [name for name in names if has_service(name)] == []


def test_what_the_main_job_brings_has_no_service_either():
    assert [one for one in installed_with(packages("ROOM_PACKAGES")) if has_service(one)] == []


def test_the_registry_of_rooms_is_unpacked_without_its_service():
    files = [path for path in (ROOT / "engines" / "registry").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["docker-registry"]


def script(tmp_path, name):
    """Return a script of a project that has fetched nothing yet."""
    (tmp_path / "scripts").mkdir()
    return shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")


@pytest.mark.parametrize("mirror", ["http://a.example http://b.example", "a\nSuites: b", " ", "\t"])
def test_a_mirror_with_white_space_is_refused_in_one_line(tmp_path, mirror):
    done = subprocess.run(
        [script(tmp_path, "engines"), "debian-13"],
        env=os.environ | {"DEBIAN_MIRROR": mirror},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("DEBIAN_MIRROR holds white space")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "engines").exists()


def test_a_search_path_for_cd_changes_nothing(tmp_path):
    script(tmp_path, "in-debian")
    done = subprocess.run(
        ["scripts/in-debian", "make", "guide"],
        cwd=tmp_path,
        env=os.environ | {"CDPATH": f".:{tmp_path}", "DOCKER": "echo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"--volume {tmp_path}:{tmp_path} --workdir {tmp_path} " in done.stdout


def test_every_script_forgets_the_search_path_for_cd():
    for path in (ROOT / "scripts").iterdir():
        assert "cd " not in path.read_text() or "\nunset CDPATH" in path.read_text(), path.name
    assert re.search(r"^unexport .*\bCDPATH\b", MAKEFILE, re.MULTILINE)
