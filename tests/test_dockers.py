"""The runbooks hold with every docker command line that the machine has; one that is not there is said not to be."""

import os
import subprocess
import warnings
from pathlib import Path

import pytest

from conftest import ROOT, rehearsal
from rehearsal.settings import load_settings

SERIES = ("20.10", "28")
PLACES = (*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin")


def dockers():
    """Return the docker programs of this machine, by series."""
    found = {}
    for place in PLACES:
        program = Path(place, "docker")
        if program.is_file():
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            for series in SERIES:
                if f"version {series}." in said:
                    found.setdefault(series, program)
    return found


def path_with(series):
    """Return a PATH whose docker is of that series."""
    folder = ROOT / "build" / f"docker-{series}"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "docker"
    link.unlink(missing_ok=True)
    link.symlink_to(dockers()[series])
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.filterwarnings("always")
def test_each_docker_is_here_or_said_not_to_be_tested():
    assert dockers()
    for series in SERIES:
        if series not in dockers():
            warnings.warn(f"docker {series} is not on this machine: not tested", UserWarning, stacklevel=1)


@pytest.mark.parametrize("series", sorted(dockers()))
def test_the_runbooks_hold_unchanged(series):
    path = path_with(series)
    which = rehearsal("room", "--", "docker", "--version", PATH=path)
    assert f"version {series}." in which.stdout
    done = rehearsal("verify", PATH=path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "mask", [mask for mask in load_settings(ROOT).masks() if mask.docker], ids=lambda mask: mask.name
)
def test_a_mask_for_one_docker_is_needed_by_it_and_by_no_other(mask):
    commands = "docker build --quiet examples/backend"
    for series in dockers():
        said = rehearsal("room", "--", "sh", "-c", commands, cwd=ROOT / "notebooks", PATH=path_with(series))
        assert said.returncode == 0, said.stderr
        assert bool(mask.pattern.search(said.stdout + said.stderr)) == (series == mask.docker)
