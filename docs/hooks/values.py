"""Fields for readers' own values, which fill in the placeholders of commands.

Secrets have no field. Without the script, nothing changes. The bar is in the page from the start,
closed and of a fixed height, so that nothing moves when it is filled.
"""

import json
import re
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from megalotron_images.convention import ORGANISATION, REGISTRY, RELEASE, STACKS, MovingTag
from rehearsal.cell.placeholders import declared_in

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
_COMMAND = re.compile(
    r'(<div class="[^"]*nb-in[^"]*"><pre>(?:<span></span>)?<code>)(.*?)(</code>)', re.DOTALL
)
_PLACEHOLDER = re.compile(r"&lt;[A-Za-z](?:[^<>&\n]|</?span[^>]*>)*?&gt;")
_BAR = (
    '<details class="nb-values" data-search-exclude>'
    "<summary>Fill in your own values</summary></details>"
)
_INTRODUCTION = re.compile(r"</h1>.*?</p>", re.DOTALL)
_RELEASE = (RELEASE, "A release is written as v1.2.3, or v1.2.3-rc.1.")
_MARKED = re.compile(r'<var class="p">&lt;(.*?)&gt;</var>')
_ONCE = ("version", "release before", "release that dev named")
"""Values of one page and one tab."""
_STACKS = [stack.name for stack in STACKS]
RULES = {
    "stack": ("|".join(map(re.escape, _STACKS)), f"One of {', '.join(_STACKS)}."),
    **dict.fromkeys(_ONCE, _RELEASE),
    "name": ("[a-z0-9]+(?:-[a-z0-9]+)*", "Lowercase letters, digits and -."),
    "your GH username": ("[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}", "Letters, digits and -."),
    "folder of your code": (r"[A-Za-z0-9_.~][A-Za-z0-9_./~-]*", "Letters, digits and . _ - / ~."),
    "folder on the server": (r"[A-Za-z0-9_./~][A-Za-z0-9_./~-]*", "Letters, digits and . _ - / ~."),
}
"""What may be typed for each placeholder: a pattern for the whole value, and a hint otherwise."""
NAMES = {
    "start": f"{REGISTRY}/{ORGANISATION}/",
    "short": f"{ORGANISATION}/",
    "stacks": _STACKS,
    "moving": list(MovingTag),
    "release": RELEASE,
    "hint": _RELEASE[1],
}
"""Parts of an image's full name, for the page that checks one."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Write the script, with the fields of all placeholders."""
    known = [one for one in declared_in(NOTEBOOKS).values() if not one.secret and one.name in RULES]
    keys = ("name", "what", "once", "pattern", "hint")
    values = ((one.name, one.what, one.name in _ONCE, *RULES[one.name]) for one in known)
    fields = [dict(zip(keys, of_one, strict=True)) for of_one in values]
    data = {"PLACEHOLDERS": fields, "NAMES": NAMES}
    constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in data.items())
    script = (Path(__file__).parents[1] / "assets" / "values.js").read_text()
    files.append(File.generated(config, "assets/fill.js", content=constants + script))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mark placeholders in commands, and put the bar below what the page does."""
    html = _COMMAND.sub(lambda match: match[1] + _PLACEHOLDER.sub(_mark, match[2]) + match[3], html)
    filled_in = set(_MARKED.findall(html)) & {escape(name) for name in RULES}
    return _INTRODUCTION.sub(rf"\g<0>\n{_BAR}", html, count=1) if filled_in else html


def _mark(match: re.Match[str]) -> str:
    return f'<var class="p">{re.sub("<[^>]*>", "", match[0])}</var>'
