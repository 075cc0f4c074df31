"""Fill in your own values, in a real browser."""

import tomllib

import pytest

from conftest import ROOT, scripts_of
from megalotron_images.convention import parse_tag
from megalotron_images.errors import RuleBroken

PAGE = "/guide/release-a-stack/"
NAMES = tomllib.loads((ROOT / "tests" / "names.toml").read_text())
CASES = tomllib.loads((ROOT / "tests" / "releases.toml").read_text())
VALUES = {
    "stack": "sniffer",
    "version": "v3.2.1",
    "your GH username": "hubot",
    "folder of your code": "../sniffer",
}


@pytest.fixture
def open_values(open_page):
    """Open a page and its bar of values."""

    def open_values(path=PAGE):
        page = open_page(path)
        page.click(".nb-values summary")
        return page

    return open_values


@pytest.fixture
def all_copied(copied):
    """A function that returns what each copy button of a page's commands gives."""

    def all_copied(page):
        for box in page.query_selector_all(".nb-worked input"):
            box.check()
        return [
            copied(page, block.query_selector("button"))
            for block in page.query_selector_all(".nb-in")
        ]

    return all_copied


def names_in_the_bar(page):
    return [one.text_content() for one in page.query_selector_all(".nb-values label")]


def type_all(page):
    for name, value in VALUES.items():
        page.get_by_label(name, exact=True).fill(value)


def test_every_command_and_copy_follows_what_is_typed_and_comes_back(open_values, all_copied):
    page = open_values()
    type_all(page)
    expected = []
    for script in scripts_of("release-a-stack"):
        filled = script
        for name, value in VALUES.items():
            filled = filled.replace(f"<{name}>", value)
        expected.append(filled)
    assert all_copied(page) == expected
    assert not any("<" in script.replace("<<", "") for script in expected)
    page.reload()
    assert all_copied(page) == expected
    assert (
        page.text_content(".nb-values summary")
        == f"Your values: {', '.join(f'{name} {VALUES[name]}' for name in names_in_the_bar(page))}"
    )
    page.click(".nb-values summary")
    page.get_by_role("button", name="Clear my values").click()
    assert all_copied(page) == scripts_of("release-a-stack")


def test_values_go_along_to_another_page(open_values):
    page = open_values()
    type_all(page)
    page.goto(page.url.replace("release-a-stack", "go-back"))
    shown = "".join(code.text_content() for code in page.query_selector_all(".nb-in code"))
    assert "megalotron-images digest ghcr.io/megalotron/sniffer:main" in shown


def test_a_version_stays_on_its_page_and_in_its_tab(open_values):
    page = open_values()
    type_all(page)
    command = "megalotron-images promote sniffer {}"
    other = page.context.new_page()
    other.goto(page.url)
    assert command.format("<version>") in other.text_content("article")
    page.reload()
    assert command.format("v3.2.1") in page.text_content("article")
    page.goto(page.url.replace("release-a-stack", "go-back"))
    assert command.format("<version>") in page.text_content("article")


def test_a_refused_value_is_said_in_the_bar_too(open_values):
    page = open_values()
    page.get_by_label("version", exact=True).fill("1.2")
    assert page.text_content(".nb-values summary") == "Your values: version 1.2 (refused)"


def test_a_step_cannot_be_copied_before_the_one_that_it_needs_has_worked(open_page):
    page = open_page(PAGE)
    step = page.query_selector(".nb-in.nb-after")
    assert "promote" in step.text_content()
    assert not step.query_selector("button").is_visible()
    page.get_by_label("The step before has worked").check()
    assert step.query_selector("button").is_visible()


def test_a_secret_has_no_field(open_values):
    page = open_values()
    assert page.query_selector_all(".nb-values input")
    assert "token" not in page.query_selector(".nb-values").text_content()
    assert page.evaluate("JSON.stringify({...localStorage})").count("token") == 0


def test_the_browser_judges_a_version_as_python_does(open_values):
    page = open_values()
    version = page.get_by_label("version", exact=True)
    for text in (*CASES["right"], *CASES["wrong"]):
        version.fill(text)
        taken = text.strip() in CASES["right"]
        assert (version.get_attribute("aria-invalid") == "false") == taken, text
        shown = "".join(code.text_content() for code in page.query_selector_all(".nb-in code"))
        assert (f"ghcr.io/megalotron/<stack>:{text.strip()} " in shown) == taken, text


def test_what_a_shell_would_read_is_never_put_into_a_command(open_values):
    page = open_values()
    for value in (
        "$(touch x)",
        "a b",
        "a;b",
        "`x`",
        "<b>",
        "a'b",
        'a"b',
        "a|b",
        "a&b",
        "a\\b",
        "*",
    ):
        for name in VALUES:
            page.get_by_label(name, exact=True).fill(value)
        shown = [
            code.text_content().rstrip("\n") for code in page.query_selector_all(".nb-in code")
        ]
        assert shown == [script.rstrip("\n") for script in scripts_of("release-a-stack")], value


def test_a_page_without_placeholders_has_no_bar(open_page):
    assert open_page("/guide/choose-an-image/").query_selector(".nb-values") is None


def test_without_script_the_page_reads_as_before(open_page):
    page = open_page(PAGE, script=False)
    shown = [code.text_content().rstrip("\n") for code in page.query_selector_all(".nb-in code")]
    assert shown == [script.rstrip("\n") for script in scripts_of("release-a-stack")]


def test_nothing_moves_when_the_bar_is_filled(open_page):
    before, after = (open_page(PAGE, script=script) for script in (False, True))
    place = "document.querySelector('.nb-in').getBoundingClientRect().top"
    closed = after.evaluate(place)
    after.evaluate("localStorage.setItem('image-process stack', 'sniffer')")
    after.reload()
    assert after.evaluate(place) == closed
    assert before.query_selector(".nb-values").is_visible() is False


def test_the_name_checker_judges_as_python_does(open_page):
    page = open_page("/convention/")
    field = page.get_by_label("Check a name")
    right = {*NAMES["right"], *NAMES["short"]}
    for name in right | set(NAMES["wrong"]):
        field.fill(name)
        said = page.text_content(".nb-name [role=status]")
        assert (said == "This name follows the convention.") == (name in right), name
        assert (field.get_attribute("aria-invalid") == "false") == (name in right), name
    field.fill("")
    assert page.text_content(".nb-name [role=status]") == ""


def test_the_name_checker_takes_each_example_of_its_page_and_helps_with_a_near_miss(open_page):
    page = open_page("/convention/")
    field = page.get_by_label("Check a name")
    shown = {code.text_content() for code in page.query_selector_all("article code")}
    names = {text for text in shown if "/" in text and ":v" in text}
    tags = {text for text in shown if parses_as_tag(text)}
    assert "megalotron/dashboard:v1.0.1" in names
    assert tags >= {"v1.0.0", "v1.0.1", "v2.0.0-beta.1", "v2.0.0-rc.1", "main", "dev"}
    for name in names | {f"megalotron/backend:{tag}" for tag in tags}:
        field.fill(name)
        assert field.get_attribute("aria-invalid") == "false", name
    for text in ("latest", "staging", "v1.0.0+build"):
        assert text in shown
        field.fill(f"megalotron/backend:{text}")
        assert field.get_attribute("aria-invalid") == "true", text
    hints = {"megalotron/dashbord:main": "dashboard?", "megalotron/backend:latest": "main"}
    for name, hint in hints.items():
        field.fill(name)
        assert f"Did you mean {hint}" in page.text_content(".nb-name [role=status]")


def parses_as_tag(text):
    try:
        return bool(parse_tag(text))
    except RuleBroken:
        return False
