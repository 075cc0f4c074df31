"""The search, as a reader fills it: each command, stack and error message leads to its page
first.
"""

import json
import re
import tomllib
from collections import defaultdict
from html import unescape

import nbformat
import playwright.sync_api as playwright
import pytest

from conftest import ROOT, SITE
from megalotron_images.cli import app as images_app
from megalotron_images.convention import STACKS
from megalotron_images.registry.hints import REFUSALS
from rehearsal.cli import app as rehearsal_app
from rehearsal.runbook.compare import as_text

COMMANDS = {
    "docker pull": "/guide/push-an-image/",
    "docker push": "/guide/push-an-image/",
    "docker tag": "/guide/push-an-image/",
    "docker login": "/guide/push-an-image/",
    "docker logout": "/guide/push-an-image/",
    "docker image inspect": "/guide/push-an-image/",
    "docker image rm": "/guide/push-an-image/",
    "docker buildx build": "/guide/choose-an-image/",
    "docker build": "/guide/choose-an-image/",
    "docker load": "/guide/choose-an-image/",
    "docker save": "/guide/choose-an-image/",
    "docker image ls": "/guide/choose-an-image/",
    "docker compose": "/guide/use-in-production/",
    "docker import": "/guide/use-in-production/",
    "docker info": "/guide/troubleshooting/",
    "docker image prune": "/guide/troubleshooting/",
}
TITLES = {
    "push an image by hand": "/guide/push-an-image/",
    "release a stack": "/guide/release-a-stack/",
    "go back": "/guide/go-back/",
    "roll back": "/guide/go-back/",
    "use an image in production": "/guide/use-in-production/",
    "automate a stack": "/guide/automate-a-stack/",
    "compose": "/guide/use-in-production/",
}


@pytest.fixture(scope="module")
def first(chromium, site):
    """A function that pastes words into the search and returns the first result."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{site}/", wait_until="networkidle")
    page.click(".md-search__input")

    def look_for(words):
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.wait_for_function("!document.querySelector('.md-search-result__link')")
        page.evaluate("words => navigator.clipboard.writeText(words)", words)
        page.keyboard.press("Control+v")  # at once: what is typed is looked for letter by letter
        return page.wait_for_selector(".md-search-result__link", timeout=4_000)

    yield look_for
    context.close()


@pytest.fixture(scope="module")
def found(first, site):
    """A function that returns the address of the first result, below the site's."""
    return lambda words: first(words).get_attribute("href").removeprefix(site).partition("?")[0]


@pytest.fixture(scope="module")
def title(first):
    """A function that returns the titles of the first page found, and of its first section."""

    def of(words):
        try:
            item = first(words).query_selector("xpath=ancestor::li")
        except playwright.TimeoutError:
            return "nothing"
        found = item.query_selector_all("h1, h2")[:2]
        return " / ".join(title.inner_text() for title in found)

    return of


def cells():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        yield from (
            (path.stem, cell)
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        )


def messages():
    """Return the line with the error that each failing command of the troubleshooting page
    printed.
    """
    failing = (
        cell
        for name, cell in cells()
        if name == "troubleshooting" and "--fails" in cell.source.partition("\n")[0]
    )
    outputs = {as_text(cell.outputs).strip() for cell in failing}
    return sorted(
        re.sub(r"(?s).*^(no  .*?)$.*", r"\1", output, flags=re.MULTILINE) for output in outputs
    )


def test_the_table_names_each_docker_command_of_the_runbooks():
    command = re.compile(r"(?:^|\| )(docker(?: (?:buildx|image|container))? [a-z]+)", re.MULTILINE)
    assert {match[1] for _, cell in cells() for match in command.finditer(cell.source)} == set(
        COMMANDS
    )


def test_each_command_is_found_with_its_page_first(found):
    verbs = {f"megalotron-images {verb}": "/reference/" for verb in images_app.list_commands(None)}
    verbs |= {f"rehearsal {verb}": "/reference/" for verb in rehearsal_app.commands}
    expected = COMMANDS | verbs
    assert {words: found(words) for words in expected} == expected


def test_each_stack_is_found_where_it_is_defined(found):
    names = [name for stack in STACKS for name in (stack.title, stack.name)]
    assert {name: found(name) for name in names} == dict.fromkeys(names, "/convention/")


def test_each_error_message_is_found_with_its_page_first(found):
    assert len(messages()) >= 12
    expected = dict.fromkeys(messages(), "/guide/troubleshooting/")
    assert {words: found(words) for words in expected} == expected


def test_each_refusal_of_a_registry_is_found_where_it_is_explained(found):
    for refusal in REFUSALS:
        assert found(refusal.said) in ("/guide/troubleshooting/", "/errors/"), refusal.said


@pytest.mark.main
def test_what_a_reader_wants_to_do_is_found_by_its_name(found):
    assert {words: found(words) for words in TITLES} == TITLES


def test_words_that_come_without_a_key_are_looked_for(open_page):
    page = open_page("/")
    page.click(".md-search__input")
    page.fill(".md-search__input", "roll back")  # as a menu's paste, or dictation
    assert "go-back" in page.wait_for_selector(".md-search-result__link").get_attribute("href")


QUERIES = tomllib.loads((ROOT / "tests" / "browser" / "queries.toml").read_text())["first"]


def test_a_working_days_words_lead_to_their_page(title):
    missed = {}
    for words, wanted in QUERIES.items():
        said = title(words)
        if wanted not in said.lower():
            missed[words] = said
    assert missed == {}


def test_each_word_that_leads_to_a_page_is_on_it_or_a_synonym_with_a_reason():
    said = tomllib.loads((ROOT / "docs" / "words.toml").read_text())
    synonyms = set(" ".join(said["synonyms"].values()).split())
    texts = defaultdict(str)
    for entry in json.loads((SITE / "search" / "search_index.json").read_text())["docs"]:
        text = f" {entry['title']} {unescape(re.sub('<[^>]*>', ' ', entry['text']))}".lower()
        texts[entry["location"]] += text
        texts[entry["location"].partition("#")[0]] += text
    astray, needed = {}, set()
    for place, typed in said["words"].items():
        words = {part for word in typed.split() for part in word.split("-")}
        missing = words - set(re.findall(r"\w+(?:\.\d+)*", texts[place]))
        needed |= missing
        if strangers := {word for word in missing if f"{word}s" not in texts[place]} - synonyms:
            astray[place] = strangers
    assert astray == {}
    assert synonyms - needed == set()
