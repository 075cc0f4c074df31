from datetime import date
from xml.etree.ElementTree import fromstring

from megalotron_images.convention import STACKS, Stack, parse_release
from megalotron_images.status import Line, Moved
from megalotron_images.timeline import Lane, draw

NAME = "{http://www.w3.org/2000/svg}"


def lane(stack, *days, main=None):
    dated = [(parse_release(f"v1.{n}.0"), day) for n, day in enumerate(days)][::-1]
    moved = Moved("sha256:" + "0" * 64, parse_release(main)) if main else None
    return Lane(Line(stack, tuple(release for release, _ in dated), None, moved, None), dated)


def test_each_release_is_a_circle_and_production_is_the_full_one():
    lanes = [
        lane(STACKS[0], date(2025, 1, 1), date(2026, 1, 1), main="v1.0.0"),
        lane(STACKS[1], date(2025, 6, 1)),
    ]
    circles = list(fromstring(draw(lanes)).iter(f"{NAME}circle"))
    assert [circle.find(f"{NAME}title").text for circle in circles] == [
        "v1.0.0, 2025-01-01",
        "v1.1.0, 2026-01-01",
        "v1.0.0, 2025-06-01",
    ]
    assert [circle.get("fill") for circle in circles] == [None, "none", "none"]
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
        said == "Dashboard: one release, v1.0.0 on 2025-01-01, production runs v1.0.0. Backend: no"
        " release."
    )


def test_a_title_cannot_break_the_picture():
    fromstring(draw([lane(Stack("<b>&", "b"), date(2025, 1, 1))]))


def test_an_empty_registry_has_a_picture_too():
    assert not list(fromstring(draw([lane(stack) for stack in STACKS])).iter(f"{NAME}circle"))
