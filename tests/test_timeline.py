from datetime import date
from itertools import pairwise
from xml.etree.ElementTree import fromstring

from megalotron_images.convention import STACKS, Stack, parse_release
from megalotron_images.registry.client import Unknown
from megalotron_images.status import Line, Moved
from megalotron_images.timeline import Lane, draw

NAME = "{http://www.w3.org/2000/svg}"
GREEN = "#12906c"


def lane(stack, *days, main=None):
    dated = [(parse_release(f"v1.{n}.0"), day) for n, day in enumerate(days)][::-1]
    moved, newest = (
        Moved("sha256:" + "0" * 64, release) if release else None
        for release in (main and parse_release(main), dated and dated[0][0])
    )
    return Lane(Line(stack, tuple(release for release, _ in dated), newest, moved, None), dated)


def test_each_release_is_a_circle_and_production_is_the_full_one():
    lanes = [
        lane(STACKS[0], date(2025, 1, 1), date(2026, 1, 1), main="v1.0.0"),
        lane(STACKS[1], date(2025, 6, 1)),
    ]
    circles = list(fromstring(draw(lanes)).iter(f"{NAME}circle"))
    assert [circle.find(f"{NAME}title").text for circle in circles] == [
        "v1.0.0, 2025-01-01",  # production's, whose label must have room
        "v1.1.0, 2026-01-01",
        "v1.0.0, 2025-06-01",
    ]
    assert [circle.get("fill") for circle in circles] == [GREEN, "none", "none"]
    assert (
        float(circles[0].get("cx"))
        < float(circles[2].get("cx"))
        < float(circles[1].get("cx"))
        <= 360
    )


def test_the_picture_says_in_words_what_it_shows():
    description = fromstring(
        draw([lane(STACKS[0], date(2025, 1, 1), main="v1.0.0"), lane(STACKS[1])])
    )
    said = description.find(f"{NAME}desc").text
    assert (
        said == "Dashboard: newest v1.0.0, production v1.0.0, development none."
        " Releases: v1.0.0 on 2025-01-01."
        " Backend: newest none, production none, development none. Releases: none."
    )


def test_a_title_cannot_break_the_picture():
    fromstring(draw([lane(Stack("<b>&", "b"), date(2025, 1, 1))]))


def test_an_empty_registry_has_a_picture_too():
    assert not list(fromstring(draw([lane(stack) for stack in STACKS])).iter(f"{NAME}circle"))


def shown(lanes):
    return [text.text for text in fromstring(draw(lanes)).iter(f"{NAME}text")]


def test_the_board_says_what_is_newest_in_production_and_in_development():
    texts = shown([lane(STACKS[0], date(2025, 1, 1), date(2026, 1, 1), main="v1.0.0")])
    board = ["newest", "v1.1.0", "2026-01-01", "production", "v1.0.0", "2025-01-01"]
    assert texts[:10] == ["Dashboard", *board, "development", "none", None]


def test_what_main_is_without_a_release_is_told_from_what_is_unknown():
    build = Moved("sha256:" + "0" * 64, None)
    texts = shown([Lane(Line(STACKS[0], (), None, build, Unknown("no answer")), [])])
    assert [text for text in texts if text in ("none", "no release", "unknown")] == [
        "none",
        "no release",
        "unknown",
    ]


def test_labels_never_lie_on_one_another_and_production_has_one():
    days = [date(2026, 1, day) for day in range(1, 29)] + [date(2026, 12, 1)]
    drawn = fromstring(draw([lane(STACKS[0], *days, main="v1.9.0")])).iter(f"{NAME}text")
    labels = [text for text in drawn if text.get("y") == "106"]
    places = sorted((float(label.get("x")), len(label.text) * 6.2) for label in labels)
    assert all(x + width <= after for (x, width), (after, _) in pairwise(places))
    assert places[0][0] > 0
    assert sum(places[-1]) <= 360
    assert {"v1.9.0", "v1.28.0"} <= {label.text for label in labels}
