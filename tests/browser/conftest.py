import functools
import http.server
import threading
from pathlib import Path

import pytest

from conftest_browser import chromium

__all__ = ["chromium"]
SITE = Path(__file__).parents[2] / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site, served from this machine below the path that it has on GitHub."""
    assert SITE.is_dir(), "build the site first: make site"
    root = tmp_path_factory.mktemp("served")
    (root / "image-process").symlink_to(SITE)
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/image-process"
        server.shutdown()
        thread.join()


@pytest.fixture
def open_page(chromium, site):
    """Open a page of the site as a reader would; what it asked of other hosts and complained of is
    in its lists.
    """
    contexts = []

    def open_page(path, *, scheme="light", width=1280, script=True):
        context = chromium.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.strangers, page.complaints = [], []
        page.on(
            "request",
            lambda request: request.url.startswith(site) or page.strangers.append(request.url),
        )
        page.on(
            "console",
            lambda message: message.type == "error" and page.complaints.append(message.text),
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.set_default_timeout(15_000)
        page.goto(site + path, wait_until="networkidle" if script else "load")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def copied():
    """A function that clicks on what copies, and returns what stands on the clipboard then."""

    def copied(page, button):
        page.evaluate("navigator.clipboard.writeText('')")
        button.click()
        page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
        return page.evaluate("navigator.clipboard.readText()")

    return copied
