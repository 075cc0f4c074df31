"""JupyterLab as `make lab` opens it, in a real browser: the text opens as a notebook and runs in a
room.
"""

import contextlib
import os
import re
import subprocess
import time

import pytest
import requests

from conftest import ROOT, wait_until_nothing_is_left

SECONDS = 60


def listens(address):
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(address, timeout=SECONDS).ok
    return False


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab on the runbooks, with its token."""
    log = tmp_path / "log"
    with open(log, "w") as out:
        command = [
            "make",
            "--no-print-directory",
            "lab",
            "LAB_OPTIONS=--no-browser --allow-root --port=0",
        ]
        environment = os.environ | {"HOME": str(tmp_path)}
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    address = None
    end = time.monotonic() + SECONDS
    while not (
        address := re.search(
            r"http://(?:localhost|127\.0\.0\.1):\d+/lab\?token=\w+", log.read_text()
        )
    ):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    while not listens(address[0]):  # it is printed before that
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    yield address[0]
    os.killpg(server.pid, 15)
    server.wait(30)
    assert wait_until_nothing_is_left("ipykernel_launcher -f /run/room") == []


def test_the_text_opens_as_a_notebook_and_runs_in_a_room(lab, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 1600})
    page.goto(lab.replace("/lab?", "/lab/tree/push-an-image.md?"), timeout=SECONDS * 1000)
    page.wait_for_selector(".jp-NotebookPanel", timeout=SECONDS * 1000)
    page.wait_for_selector("text=Rehearsal (sealed room)", timeout=SECONDS * 1000)
    # The kernel's name stands there before it is connected; what runs before that is dropped.
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=SECONDS * 1000
    )
    page.click("text=Run >> nth=0")
    page.click(".lm-Menu >> text='Run All Cells'")
    digest = page.wait_for_selector(
        ".jp-OutputArea-output >> text=/ghcr.io\\/megalotron\\/alpine@sha256:[0-9a-f]{64}/",
        timeout=SECONDS * 1000,
    )
    assert "sha256:" in digest.text_content()
    page.close()


def ask(lab, path, **asked):
    """Return what the server answers to a request."""
    address, token = lab.split("/lab?token=")
    return requests.request(
        asked.pop("method", "GET"),
        f"{address}/api/{path}",
        headers={"Authorization": f"token {token}"},
        timeout=SECONDS,
        **asked,
    ).json()


@pytest.mark.parametrize("kernel", ["rehearsal", "production"])
def test_saving_a_text_changes_nothing_whichever_kernel_ran_it(kernel, lab):
    for path in sorted((ROOT / "notebooks").glob("*.md")):
        before = path.read_bytes()
        try:
            model = ask(lab, f"contents/{path.name}?type=notebook&content=1")
            model["content"]["metadata"]["kernelspec"] = {
                "name": kernel,
                "display_name": kernel,
                "language": "python",
            }
            for cell in model["content"]["cells"]:
                if cell["cell_type"] == "code":
                    cell["execution_count"] = 1
            ask(lab, f"contents/{path.name}", method="PUT", json=model)
            assert path.read_bytes() == before, path.name
        finally:
            path.write_bytes(before)


def test_pythons_own_kernel_is_not_offered(lab):
    assert {*ask(lab, "kernelspecs")["kernelspecs"]} == {"rehearsal", "production"}
