"""How the pages read: on a small phone, on paper, by keyboard alone, without script, and at the
first visit.
"""

import gzip

import pytest

from conftest import GUIDES, scripts_of

MAIN = "release-a-stack"
EACH_GUIDE = [pytest.param(name, marks=pytest.mark.main if name == MAIN else ()) for name in GUIDES]
A4 = 718
"""The width of an A4 page between browsers' usual margins, in CSS pixels."""
NOT_WHOLE = """() => [...document.querySelectorAll(".nb-in code, .nb-out code")]
    .filter((code) => code.scrollWidth > code.clientWidth || !code.checkVisibility()
        || code.scrollHeight > code.clientHeight + 1 || code.clientHeight === 0)
    .map((code) => code.textContent)"""
"""The blocks of commands and outputs that cannot be read whole."""

COLORS = """() => [...document.querySelectorAll("body, article *")]
    .filter((one) => one.checkVisibility()).map((one) => getComputedStyle(one))
    .map((style) => [style.color, style.backgroundColor])"""


@pytest.mark.parametrize("name", EACH_GUIDE)
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


@pytest.mark.parametrize("name", EACH_GUIDE)
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


@pytest.mark.main
def test_paper_does_not_depend_on_the_scheme(open_page):
    printed = []
    for scheme in ("light", "dark"):
        page = open_page("/guide/go-back/", scheme=scheme, width=A4)
        page.emulate_media(media="print", reduced_motion="reduce")
        printed.append(page.evaluate(COLORS))
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", EACH_GUIDE)
def test_without_script_a_guide_is_complete(name, open_page):
    page = open_page(f"/guide/{name}/", script=False)
    shown = [code.text_content().rstrip("\n") for code in page.query_selector_all(".nb-in code")]
    assert [script.rstrip("\n") for script in scripts_of(name)] == [
        s for s in shown if not s.startswith("from ")
    ]
    assert all(code.is_visible() for code in page.query_selector_all(".nb-in code"))


@pytest.mark.main
def test_a_first_visit_is_small(open_page):
    """As GitHub Pages serves it, text and scripts are compressed. It is the heaviest guide."""
    bodies = {}
    page = open_page("/404.html")
    page.context.clear_cookies()
    page.on("response", lambda response: bodies.setdefault(response.url, response))
    page.goto(page.url.replace("404.html", "guide/troubleshooting/"), wait_until="networkidle")
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


@pytest.mark.main
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


@pytest.mark.main
def test_an_address_that_was_moved_leads_on(open_page):
    assert open_page("/guide/").query_selector("h1").text_content().startswith("Megalotron")
