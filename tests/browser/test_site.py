import gzip
import json
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from html5lib import HTMLParser
from html5lib.treebuilders import getTreeBuilder

from conftest import PAGES, ROOT, SITE, scripts_of
from megalotron_images.cli import app as images_app
from megalotron_images.convention import STACKS
from rehearsal.cli import app as rehearsal_app

GUIDE = SITE / "guide" / "push-an-image" / "index.html"
SIX_LINES = (
    "docker pull alpine",
    "docker image inspect alpine",
    "docker tag alpine ghcr.io/megalotron/alpine:test",
    "export GHCR_PAT=<your generated personal access token>",
    "echo $GHCR_PAT | docker login ghcr.io -u <your GH username> --password-stdin",
    "docker push ghcr.io/megalotron/alpine:test",
)


NEXT_FRAME = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
"""What follows a change of size has been drawn then."""
CUT = """() => [...document.querySelectorAll("pre code")]
    .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"""
"""The blocks of which a line is cut."""
WIDTH = "document.documentElement.scrollWidth"
SMALL_PHONE = 320


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("path", [*PAGES, "/404.html"])
def test_a_page_is_accessible_and_fits(path, scheme, width, open_page):
    page = open_page(path, scheme=scheme, width=width)
    page.evaluate(NEXT_FRAME)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    assert page.evaluate(WIDTH) <= width
    assert page.strangers == []
    assert page.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_small_phone_and_no_line_is_cut(path, open_page):
    page = open_page(path, width=SMALL_PHONE)
    assert page.evaluate(WIDTH) <= SMALL_PHONE
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate(NEXT_FRAME)
    assert page.evaluate(CUT) == []


def test_each_line_of_the_seed_stands_in_text_and_page(open_page):
    assert set(SIX_LINES) <= set(scripts_of("push-an-image"))
    page = open_page("/guide/push-an-image/", script=False)
    shown = {code.text_content() for code in page.query_selector_all(".nb-in code")}
    assert {f"{line}\n" for line in SIX_LINES} <= shown


def test_a_long_output_is_folded_with_its_count_of_lines(open_page):
    page = open_page("/guide/push-an-image/")
    long = page.query_selector("details.nb-long")
    lines = long.query_selector("code").text_content().strip().splitlines()
    assert long.query_selector("summary").text_content() == f"{len(lines)} lines of output"
    assert not long.query_selector("code").is_visible()
    page.keyboard.press("Tab")
    long.query_selector("summary").focus()
    page.keyboard.press("Enter")
    assert long.query_selector("code").is_visible()


def test_a_digest_can_be_copied_by_mouse_and_keyboard_and_says_why_it_differs(open_page, copied):
    page = open_page("/guide/release-a-stack/")
    digest = page.query_selector(".nb-out var[role=button]")
    assert "yours may differ" in digest.get_attribute("title")
    assert copied(page, digest) == digest.text_content()
    page.evaluate("navigator.clipboard.writeText('')")
    digest.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
    assert page.evaluate("navigator.clipboard.readText()") == digest.text_content()


def test_the_reference_shows_every_verb_of_both_commands(open_page):
    page = open_page("/reference/", script=False)
    heads = [head.text_content().rstrip("#") for head in page.query_selector_all("h3")]
    for program, app in (("megalotron-images", images_app), ("rehearsal", rehearsal_app)):
        for verb in app.list_commands(None):
            assert f"{program} {verb}" in heads


def test_outputs_have_no_copy_button(open_page):
    page = open_page("/guide/push-an-image/")
    assert page.query_selector_all(".nb-out")
    assert page.query_selector_all(".nb-out button.md-code__button[data-md-type='copy']") == []


def test_each_output_of_the_notebook_is_on_the_page(open_page):
    notebook = nbformat.read(ROOT / "notebooks" / "push-an-image.ipynb", as_version=4)
    texts = [
        "".join(output.text for output in cell.outputs)
        for cell in notebook.cells
        if cell.get("outputs")
    ]
    page = open_page("/guide/push-an-image/", script=False)
    shown = [code.text_content().strip() for code in page.query_selector_all(".nb-out code")]
    assert shown == [text.strip().replace("/run/room/home", "~") for text in texts]


def test_the_diagram_is_drawn_in_the_page_and_named(open_page):
    page = open_page("/process/", script=False)
    drawing = page.query_selector("svg[role=img]")
    assert drawing.query_selector("title").text_content() == "From a push to the registry"
    assert "GitHub Action" in drawing.query_selector("desc").text_content()


FACTS = (
    "ghcr.io/megalotron",
    "REGISTRY_USERNAME",
    "REGISTRY_TOKEN",
    "megalotron/<stack>:<tag>",
    "semantic version",
    "v1.0.1",
    "main",
    "dev",
    *(stack.image for stack in STACKS),
)


def test_each_fact_of_the_process_is_on_the_first_screen(open_page):
    page = open_page("/")
    for fact in FACTS:
        box = page.locator("article td", has_text=fact).first.bounding_box()
        assert box["y"] + box["height"] <= 900, fact


def test_each_part_of_the_picture_leads_to_its_page(open_page):
    page = open_page("/", script=False)
    links = [one.get_attribute("href") for one in page.query_selector_all("svg.nb-drawing a")]
    assert len(links) == 7
    for link in links:
        assert (SITE / link.partition("#")[0] / "index.html").is_file(), link


def test_there_are_at_most_six_tabs_and_none_leads_to_a_single_page(open_page):
    page = open_page("/convention/", script=False)
    assert 0 < len(page.query_selector_all(".md-tabs__item")) <= 6
    assert page.get_attribute(".md-header__button.md-logo", "href") in ("..", "../")
    sections = page.query_selector_all(".md-nav--primary > .md-nav__list > .md-nav__item--nested")
    assert len(sections) == len(page.query_selector_all(".md-tabs__item"))
    for section in sections:
        assert len(section.query_selector_all("a.md-nav__link[href]")) > 1


def test_a_guide_begins_with_what_it_does(open_page):
    page = open_page("/guide/release-a-stack/", script=False)
    order = page.evaluate("""[...document.querySelector("article > h1").parentElement.children]
        .map((one) => one.className || one.tagName)""")
    first = order[order.index("H1") :]
    assert first[:5] == ["H1", "P", "nb-evidence", "nb-run", "nb-values"]


def test_the_path_above_a_page_leads_home_and_to_its_section(open_page):
    page = open_page("/convention/", script=False)
    path = [one.text_content().strip() for one in page.query_selector_all(".md-path a")]
    assert path == ["Megalotron's image process", "Understand"]


def test_the_table_of_stacks_is_made_from_the_code(open_page):
    page = open_page("/convention/", script=False)
    rows = page.query_selector_all("#stacks ~ * tbody tr")
    shown = [[cell.text_content().strip() for cell in row.query_selector_all("td")] for row in rows]
    assert shown == [[stack.title, stack.image] for stack in STACKS]


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


def test_the_search_finds_each_command_once_and_no_ornament():
    index = json.loads((SITE / "search" / "search_index.json").read_text())
    text = "\n".join(entry["text"] for entry in index["docs"])
    for ornament in ("In [", "Copied!", "¶", "%%bash"):
        assert ornament not in text
    assert "docker login" in text


def test_the_notebook_can_be_downloaded():
    assert (SITE / "guide" / "push-an-image" / "push-an-image.ipynb").is_file()
    assert not list(Path(SITE).glob("**/hooks*"))
