"""How the pages read: on a small phone, on paper, by keyboard alone, without script, and at the
first visit.
"""

import gzip

import pytest
from bs4 import BeautifulSoup

from conftest import PAGES, ROOT, SITE, scripts_of

GUIDES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
A4 = 718
"""The width of an A4 page between browsers' usual margins, in CSS pixels."""
NOT_WHOLE = """() => [...document.querySelectorAll(".nb-in code, .nb-out code")]
    .filter((code) => code.scrollWidth > code.clientWidth || !code.checkVisibility()
        || code.scrollHeight > code.clientHeight + 1 || code.clientHeight === 0)
    .map((code) => code.textContent)"""
"""The blocks of commands and outputs that cannot be read whole."""


@pytest.mark.parametrize("name", GUIDES)
def test_each_copy_button_of_a_guide_gives_the_command_to_the_byte(name, open_page, copied):
    page = open_page(f"/guide/{name}/")
    assert page.query_selector_all(".nb-out button[data-md-type='copy']") == []
    for box in page.query_selector_all(".nb-worked input"):
        box.check()
    texts = [
        copied(page, block.query_selector("button")) for block in page.query_selector_all(".nb-in")
    ]
    python = [text for text in texts if text.startswith("from ")]
    assert [text for text in texts if text not in python] == scripts_of(name)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_is_whole_on_paper(name, open_page):
    page = open_page(f"/guide/{name}/", width=A4)
    page.emulate_media(media="print")
    assert page.query_selector(".nb-in code")
    assert page.evaluate(NOT_WHOLE) == []
    assert (
        page.query_selector_all(
            ".nb-values:visible, .nb-run:visible, .nb-name:visible, .md-sidebar:visible"
        )
        == []
    )


@pytest.mark.parametrize("name", GUIDES)
def test_without_script_a_guide_is_complete(name, open_page):
    page = open_page(f"/guide/{name}/", script=False)
    shown = [code.text_content().rstrip("\n") for code in page.query_selector_all(".nb-in code")]
    assert [script.rstrip("\n") for script in scripts_of(name)] == [
        s for s in shown if not s.startswith("from ")
    ]
    assert all(code.is_visible() for code in page.query_selector_all(".nb-in code"))


def test_a_first_visit_is_small(open_page):
    """As GitHub Pages serves it, text and scripts are compressed."""
    bodies = {}
    page = open_page("/404.html")
    page.context.clear_cookies()
    page.on("response", lambda response: bodies.setdefault(response.url, response))
    page.goto(page.url.replace("404.html", "guide/push-an-image/"), wait_until="networkidle")
    page.click(".md-search__input")
    page.wait_for_load_state("networkidle")
    sizes = {
        url: len(gzip.compress(found.body(), 9))
        for url, found in bodies.items()
        if url.startswith("http")
    }
    assert any("search_index" in url for url in sizes)
    assert sum(sizes.values()) <= 140 * 1024, sizes


def test_everything_can_be_reached_by_keyboard(open_page):
    page = open_page("/guide/release-a-stack/")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    wanted = page.evaluate(
        """[...document.querySelectorAll("a[href], button, summary, [tabindex='0'], "
             + "input:not([type=radio]):not([type=checkbox])")]
            .filter((one) => one.checkVisibility({visibilityProperty: true}) && one.tabIndex >= 0
                    && one.getBoundingClientRect().width > 0 && !one.closest(".md-search__output"))
            .map((one, number) => (one.dataset.wanted = number)).length"""
    )
    reached = set()
    for _ in range(2 * wanted + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.wanted"))
    missed = set(map(str, range(wanted))) - reached
    names = page.evaluate(
        "all => all.map((n) => document.querySelector(`[data-wanted='${n}']`).outerHTML.slice(0,"
        " 120))",
        sorted(missed),
    )
    assert names == []


@pytest.mark.parametrize("path", ["/", "/guide/release-a-stack/", "/convention/", "/reference/"])
def test_what_has_the_focus_can_be_seen(path, open_page):
    page = open_page(path)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    for _ in range(80):
        page.keyboard.press("Tab")
        shown = page.evaluate("""() => {
              const style = getComputedStyle(document.activeElement);
              return document.activeElement === document.body || style.outlineStyle !== "none"
                || style.boxShadow !== "none" || document.activeElement.matches(
                  ".md-skip, .md-search__input");
            }""")
        assert shown, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def test_nothing_moves_where_less_motion_is_asked_for(open_page):
    page = open_page("/guide/release-a-stack/")
    page.emulate_media(reduced_motion="reduce")
    moving = page.evaluate("""[...document.querySelectorAll("*")].flatMap((one) => {
            const style = getComputedStyle(one);
            const seconds = (text) => Math.max(...text.split(",").map(parseFloat));
            return seconds(style.transitionDuration) > 0.01
              || seconds(style.animationDuration) > 0.01
              ? [one.className] : [];
        })""")
    assert moving == []
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


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
    assert said.startswith(f"✓ All {blocks} blocks of commands ran on Docker ")
    box = page.select_one("details.nb-run")
    assert f"rehearsal run {name} --production" in box.get_text()
    assert (SITE / "guide" / name / box.select_one("a[download]")["href"]).is_file()


def test_an_address_that_was_moved_leads_on(open_page):
    assert open_page("/guide/").query_selector("h1").text_content().startswith("Megalotron")


def test_the_sitemap_names_every_page():
    sitemap = (SITE / "sitemap.xml").read_text()
    missing = [path for path in PAGES if f"image-process{path}</loc>" not in sitemap]
    assert missing == []
