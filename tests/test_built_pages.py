"""The built site as files, each read once: its size, its form, and what stands in its head."""

import functools
import gzip
import json
import re

import pytest
from bs4 import BeautifulSoup
from html5lib import HTMLParser
from html5lib.treebuilders import getTreeBuilder

from conftest import GUIDES, PAGES, SITE


@functools.cache
def read(path):
    return BeautifulSoup((SITE / path[1:] / "index.html").read_text(), "html.parser")


@pytest.mark.parametrize("path", PAGES)
def test_a_shared_page_shows_a_card(path):
    page = read(path)
    said = {one["property"]: one["content"] for one in page.select("meta[property^='og:']")}
    assert said["og:image"].endswith("assets/card.png")
    assert said["og:title"]
    assert said["og:url"].endswith(path)
    assert said["og:description"] == page.select_one("meta[name=description]")["content"]
    assert len(said["og:description"]) > 30


def test_each_page_is_described_in_its_own_words():
    said = [read(path).select_one("meta[name=description]")["content"] for path in PAGES]
    assert len(set(said)) == len(PAGES), said


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_says_on_what_it_ran_and_how_to_run_it(name):
    page = read(f"/guide/{name}/")
    blocks = len(page.select(".nb-in"))
    said = " ".join(page.select_one(".nb-evidence").get_text().split())
    assert re.match(f"✓ All {blocks} blocks of commands ran (on Docker [0-9]|when this page)", said)
    row = read("/evidence/").select_one(page.select_one(".nb-evidence a")["href"][-len(name) - 1 :])
    assert row.find_parent("tr").get_text().strip().startswith(f"{name}: each block prints")
    box = page.select_one("details.nb-run")
    assert f"rehearsal run {name} --production" in box.get_text()
    assert (SITE / "guide" / name / box.select_one("a[download]")["href"]).is_file()


def test_the_sitemap_names_every_page():
    sitemap = (SITE / "sitemap.xml").read_text()
    missing = [path for path in PAGES if f"image-process{path}</loc>" not in sitemap]
    assert missing == []


@pytest.mark.parametrize(
    "path", sorted(SITE.glob("**/index.html")), ids=lambda path: path.parent.name
)
def test_a_page_is_light(path):
    content = path.read_bytes()
    assert len(content) <= 90_000  # less than a long page of Material's own documentation
    assert len(gzip.compress(content, 9)) <= 15_000


@pytest.mark.parametrize(
    "path", sorted(SITE.glob("**/*.html")), ids=lambda path: str(path.relative_to(SITE))
)
def test_a_page_is_well_formed(path):
    parser = HTMLParser(tree=getTreeBuilder("etree"))
    parser.parse(path.read_text())
    assert [
        error
        for error in parser.errors
        if error[1] not in ("unexpected-end-tag-implies-table-voodoo",)
    ] == []


@pytest.mark.parametrize("path", PAGES)
def test_each_label_belongs_to_a_control_of_its_page(path):
    page = read(path)
    controls = {one["id"] for one in page.select("input[id], button[id], select[id]")}
    assert {one["for"] for one in page.select("label[for]")} <= controls


def test_the_search_finds_each_command_once_and_no_ornament():
    index = json.loads((SITE / "search" / "search_index.json").read_text())
    text = "\n".join(entry["text"] for entry in index["docs"])
    for ornament in ("In [", "Copied!", "¶", "%%bash"):
        assert ornament not in text
    assert "docker login" in text


def test_the_notebook_can_be_downloaded():
    assert (SITE / "guide" / "push-an-image" / "push-an-image.ipynb").is_file()
    assert not list(SITE.glob("**/hooks*"))
