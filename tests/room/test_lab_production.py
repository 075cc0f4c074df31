"""A production run in JupyterLab, by hand in a real browser: screen, record and registry agree."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from playwright.sync_api import sync_playwright

from conftest_room import registry_process
from test_production import (
    LARGE,
    STORE,
    TEST,
    TOKEN,
    header,
    machine,  # noqa: F401 - a fixture
    records,
    rehearse,
    short,
    tags,
)

BIN = Path(sys.executable).parent
SECONDS = 60_000
ANSWERS = {
    "Type it in full to go on": TEST,
    "<your GH username>": "octocat",
    "access token>": TOKEN,
}
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
DIGEST = STORE / "megalotron/alpine/_manifests/tags/test/current/link"


class Lab:
    """A person at a page in JupyterLab."""

    def __init__(self, page):
        self.page = page

    def open(self, address, name):
        self.page.goto(f"{address}/lab/tree/{name}.md?token=t", timeout=SECONDS)
        self.page.wait_for_selector(".jp-NotebookPanel", timeout=SECONDS)
        self.idle()
        self.page.click("text=Rehearsal (sealed room)")
        self.page.select_option(".jp-Dialog select", label="Production (your own engine)")
        self.page.click(".jp-Dialog .jp-mod-accept")
        self.page.wait_for_selector("text=Production (your own engine)", timeout=SECONDS)
        self.idle()

    def idle(self):
        idle = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
        self.page.wait_for_selector(idle, timeout=SECONDS)

    def cells(self):
        return self.page.locator(".jp-CodeCell")

    def start(self, number):
        """Run a cell, and do not wait for it."""
        self.cells().nth(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number, answers=ANSWERS):
        """Run a cell, answer what it asks, and return what it shows."""
        self.start(number)
        return self.finish(number, answers)

    def finish(self, number, answers=ANSWERS):
        cell = self.cells().nth(number)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            asked = cell.locator(".jp-Stdin-input")
            if asked.count():
                prompt = cell.locator(".jp-Stdin-prompt").last.text_content()
                said = next(said for part, said in answers.items() if part in prompt)
                self.answer(number, said)
            elif "*" not in (cell.locator(".jp-InputPrompt").text_content() or ""):
                return cell.locator(".jp-Cell-outputArea").inner_text()
            self.page.wait_for_timeout(100)
        raise AssertionError(cell.inner_text())

    def answer(self, number, said):
        """Type an answer in the cell's box, once it is there, and press Enter."""
        boxes = self.cells().nth(number).locator(".jp-Stdin-input")
        boxes.last.wait_for(timeout=SECONDS)
        box = boxes.last.element_handle()
        box.fill(said)
        box.press("Enter")
        box.wait_for_element_state("hidden", timeout=SECONDS)

    def interrupt(self):
        self.page.click(".lm-MenuBar >> text=Kernel")
        self.page.click(".lm-Menu >> text='Interrupt Kernel'")


@pytest.fixture
def server(machine):  # noqa: F811 - the fixture
    """A function that starts JupyterLab on the person's clone and returns its address."""
    started = []

    def start(**environment):
        command = [str(BIN / "jupyter"), "lab", "--no-browser", "--allow-root", "--port=8899"]
        environment |= {"JUPYTER_CONFIG_DIR": str(machine / "notebooks/.jupyter")}
        environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(machine / "lab")}
        with open(machine / "lab.log", "w") as log:
            process = subprocess.Popen(
                [*command, "--IdentityProvider.token=t", "notebooks"],
                cwd=machine,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )
        started.append(process)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(requests.ConnectionError):
                if requests.get("http://127.0.0.1:8899/api", timeout=5).ok:
                    return "http://127.0.0.1:8899"
            time.sleep(0.2)
        raise AssertionError((machine / "lab.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=OPTIONS
        )
        yield browser
        browser.close()


@pytest.fixture
def lab(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 5000})
    yield Lab(page)
    page.close()


def test_the_seed_s_page_is_pushed_by_hand_though_the_home_is_full_and_the_registry_slow(
    lab,
    server,
    machine,  # noqa: F811
):
    lab.open(server(IPYTHONDIR="/proc/full"), "push-an-image")
    scripts = [lab.cells().nth(n).inner_text() for n in range(lab.cells().count())]
    push = next(n for n, script in enumerate(scripts) if "docker push" in script)
    for number in range(push):
        assert "This cell failed" not in lab.run(number), number
    lab.start(push)
    lab.answer(push, TEST)
    lab.page.wait_for_selector("text=/digest: sha256:/", timeout=SECONDS)
    registry = registry_process()
    registry.suspend()
    threading.Timer(8, registry.resume).start()
    shown = lab.finish(push)
    digest = tags()[str(DIGEST)]
    assert digest in shown
    (after,) = [one["after"] for one in records(machine)[0] if one["event"] == "after"]
    assert after[TEST]["digest"] == digest
    stopped = lab.run(push + 1)
    assert "This cell failed" not in stopped


def test_an_interrupted_push_is_failed_on_the_screen_and_on_record(lab, server, machine):  # noqa: F811
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    rehearse(machine, "large")
    lab.open(server(), "large")
    lab.run(0)
    lab.start(1)
    lab.page.wait_for_selector(".jp-Stdin-input", timeout=SECONDS)
    registry = registry_process()
    registry.suspend()
    try:
        threading.Timer(6, registry.resume).start()
        lab.answer(1, TEST)
        lab.page.wait_for_timeout(3000)
        for _ in range(3):
            lab.interrupt()
            lab.page.wait_for_timeout(200)
        shown = lab.finish(1)
    finally:
        registry.resume()
    assert "Interrupted" in shown
    ends = [one for one in records(machine)[0] if one["event"] in ("end", "after")][-2:]
    assert [one["event"] for one in ends] == ["end", "after"]
    assert "well" not in ends[0]
    assert ends[1]["after"][TEST]["digest"] is None
    assert not DIGEST.exists()


def test_a_step_that_is_done_already_is_done(lab, server, machine):  # noqa: F811
    options = f"magic_args=\"--asked 'to write it: ' {TEST}\""
    short(machine, f"```bash {options}\necho done already\n```")
    lab.open(server(), "short")
    assert "This cell failed" not in lab.run(0, {"to write it": TEST})
    assert [one["well"] for one in records(machine)[0] if one["event"] == "end"] == [True]
