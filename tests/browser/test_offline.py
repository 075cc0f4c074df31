"""The offline folder, opened as files: complete, searchable, and asking nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

COMMANDS = ("docker push", "megalotron-images promote", "go-flow-meter", "manifest unknown")


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    command = [
        Path(sys.executable).parent / "mkdocs",
        "build",
        "--strict",
        "-f",
        "mkdocs-offline.yml",
        "-d",
        folder,
    ]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def page(chromium, offline):
    context = chromium.new_context()
    page = context.new_page()
    page.strangers = []
    page.on(
        "request",
        lambda request: (
            request.url.startswith(("file:", "data:", "blob:"))
            or page.strangers.append(request.url)
        ),
    )
    yield page
    context.close()


def test_every_page_opens_and_asks_nobody(page, offline):
    for path in sorted(offline.glob("**/*.html")):
        page.goto(f"file://{path}")
        assert page.query_selector("h1"), path
    assert page.strangers == []


def test_links_lead_to_files(page, offline):
    page.goto(f"file://{offline}/index.html")
    page.click("text=Roll back production >> nth=-1")
    page.wait_for_url(f"file://{offline}/guide/go-back.html")
    assert page.wait_for_selector("h1").text_content().startswith("Roll back production")


@pytest.mark.parametrize("words", COMMANDS)
def test_the_search_works_from_a_file(words, page, offline):
    page.goto(f"file://{offline}/index.html")
    page.click(".md-search__input")
    page.keyboard.type(words, delay=20)
    page.wait_for_function(
        "/^[1-9].*matching/.test(document.querySelector('.md-search-result__meta').textContent.trim())"
    )
    assert words.split()[0] in page.text_content(".md-search-result__list")
    assert page.strangers == []
