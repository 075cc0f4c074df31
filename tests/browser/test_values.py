"""Fill in your own values, in a real browser."""

import tomllib

import pytest

from conftest import ROOT, scripts_of

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
    return lambda page: [
        copied(page, block.query_selector("button")) for block in page.query_selector_all(".nb-in")
    ]


def shown_in_the_bar(page):
    return [one.input_value() for one in page.query_selector_all(".nb-values input")]


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
    assert any("<your generated personal access token>" in script for script in expected)
    page.reload()
    assert all_copied(page) == expected
    assert (
        page.text_content(".nb-values summary")
        == f"Your values: {', '.join(shown_in_the_bar(page))}"
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
    for name in (*NAMES["right"], *NAMES["wrong"]):
        field.fill(name)
        said = page.text_content(".nb-name [role=status]")
        assert (said == "This name follows the convention.") == (name in NAMES["right"]), name
        assert (field.get_attribute("aria-invalid") == "false") == (name in NAMES["right"]), name
    field.fill("")
    assert page.text_content(".nb-name [role=status]") == ""
