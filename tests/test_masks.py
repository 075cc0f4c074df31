import hashlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from rehearsal.errors import CannotCheck
from rehearsal.runbook.compare import as_text, excerpt, first_difference
from rehearsal.runbook.masks import (
    Mask,
    Masked,
    load_masks,
    masks_hiding_values,
    masks_that_mattered,
)

MASKS = [mask for mask in load_masks(ROOT / "notebooks" / "masks.toml") if not mask.engines]
ONE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def same(left, right):
    ours, theirs = Masked(MASKS), Masked(MASKS)
    return all(
        first_difference(ours.mask(a), theirs.mask(b)) is None
        for a, b in zip(left, right, strict=True)
    )


def test_another_digest_is_the_same_run():
    assert same([f"Digest: {ONE}", ONE], [f"Digest: {OTHER}", OTHER])


def test_a_digest_must_stay_the_same_from_cell_to_cell():
    assert not same([ONE, ONE], [ONE, OTHER])
    assert not same([ONE, OTHER], [ONE, ONE])


def test_a_short_digest_is_the_long_ones():
    assert same([ONE, "aaaaaaaaaaaa: Pushed"], [OTHER, "bbbbbbbbbbbb: Pushed"])
    assert not same([ONE, "aaaaaaaaaaaa: Pushed"], [OTHER, "aaaaaaaaaaaa: Pushed"])


def test_a_digest_is_all_its_digits():
    almost = ONE[:-1] + "b"
    assert not same([ONE, ONE], [ONE, almost])
    assert not same(["aaaaaaaaaaaa: Pushed", ONE, ONE], ["aaaaaaaaaaaa: Pushed", ONE, almost])


def test_a_mask_that_hides_a_digest_in_a_real_output_is_told():
    output = f"test: digest: {ONE} size: 527\n"
    planted = Mask("planted", "text", re.compile("digest: sha256:[0-9a-f]+"), "", "")
    assert "planted covers values of digest" in masks_hiding_values(output, [*MASKS, planted])[0]
    dropping = Mask("dropping", "line", re.compile(".*digest: sha256.*"), "", "")
    assert masks_hiding_values(output, [*MASKS, dropping])
    assert not masks_hiding_values(f"{output}{ONE}\n", [*MASKS, dropping])
    assert not masks_hiding_values(output, MASKS)


def test_a_short_digest_in_place_of_a_long_one_shows():
    assert not same([ONE], ["a" * 12])


def test_lines_that_come_and_go():
    line = "aaaaaaaaaaaa: Verifying Checksum\n"
    assert same([f"{line}done\n"], ["done\n"])
    assert not same(["aaaaaaaaaaaa: Pull complete\ndone\n"], ["done\n"])


def test_a_mask_for_some_engines_holds_there_alone():
    on = {
        name: Mask("m", "text", re.compile("a"), "a", "", engines=(name,))
        for name in ("28", "graph", "28 graph", "2")
    }
    held = {name for name, mask in on.items() if mask.holds_on("28.5.2", "containerd")}
    assert held == {"28"}
    assert {name for name, mask in on.items() if mask.holds_on("28.5.2", "graph")} == {
        "28",
        "graph",
        "28 graph",
    }
    assert Mask("m", "text", re.compile("a"), "a", "").holds_on("20.10.24", "graph")


def test_a_mask_for_some_engines_is_needed_where_its_words_differ_alone():
    mask = Mask("words", "text", re.compile("denied|refused"), "denied", "", engines=("graph",))
    assert masks_that_mattered([mask], "denied", "refused") == ["words"]
    assert masks_that_mattered([mask], "denied", "denied") == []


def test_with_another_store_one_digest_may_be_two_and_two_never_one():
    def agree(expected, came):
        left = Masked(MASKS)
        right = Masked(MASKS, left)
        pairs = zip(expected, came, strict=True)
        return all(first_difference(left.mask(a), right.mask(b)) is None for a, b in pairs)

    third = "sha256:" + "c" * 64
    assert agree([ONE, ONE], [OTHER, third])
    assert agree([ONE, ONE, ONE], [OTHER, third, third])
    assert not agree([ONE, OTHER], [third, third])
    assert not agree([ONE, OTHER, ONE], [ONE, third, third])


def test_what_is_not_masked_is_compared_exactly():
    assert not same(["Login Succeeded"], ["Login succeeded"])


@given(st.lists(st.sampled_from("abc"), min_size=1), st.permutations("xyz"))
def test_runs_agree_when_their_values_are_renamed_one_to_one(values, names):
    mask = Mask("letter", "named", re.compile("[abcxyz]"), "a", "a test")
    renamed = [names["abc".index(value)] for value in values]
    ours, theirs = Masked([mask]), Masked([mask])
    assert [ours.mask(value) for value in values] == [theirs.mask(value) for value in renamed]


def test_the_first_difference_says_where_and_what():
    assert first_difference("one\ntwo\n", "one\nthree\n") == (2, "expected `two`, came `three`")
    assert first_difference("one\n", "one\ntwo\n") == (2, "expected the end, came `two`")


def test_streams_and_results_are_told_apart():
    stream = {"output_type": "stream", "name": "stderr", "text": "word\n"}
    result = {"output_type": "execute_result", "data": {"text/plain": "word"}}
    assert as_text([stream]) != as_text([result])


def test_a_planted_mask_that_hides_a_wrong_digest_is_found_out(tmp_path):
    rules = (ROOT / "notebooks" / "masks.toml").read_text()
    planted = (
        f"name = 'planted'\nkind = 'text'\npattern = 'sha256:[0-9a-f]+'\nexample = '{ONE}'\nreason"
        " = 'none'"
    )
    file = tmp_path / "masks.toml"
    file.write_text(f"{rules}\n[[mask]]\n{planted}\n")
    with pytest.raises(CannotCheck, match="planted covers values of digest"):
        load_masks(file)


@pytest.mark.parametrize(
    "rule",
    [
        'name = "a"\nkind = "line"\npattern = "("\nexample = "("\nreason = "r"',
        'name = "a"\nkind = "other"\npattern = "a"\nexample = "a"\nreason = "r"',
        'name = "a"\nkind = "line"\npattern = "a"\nexample = "b"\nreason = "r"',
        'name = "a"\nkind = "line"\npattern = "a"\nexample = "a"',
        "pattern: a\nreplace: b",
    ],
)
def test_a_malformed_rule_is_an_error(rule, tmp_path):
    file = tmp_path / "masks.toml"
    file.write_text(f"[[mask]]\n{rule}\n")
    with pytest.raises(CannotCheck, match=r"masks\.toml cannot be used"):
        load_masks(file)


def test_a_long_output_is_compared_in_a_time_that_grows_with_it():
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(12_000)]
    lines = [f"{digest}: a layer\n" for digest in digests]
    expected, came = "".join(lines), "".join([*lines[:-1], "another line\n"])
    begin = time.process_time()
    left, right = Masked(MASKS), Masked(MASKS)
    line, what = first_difference(left.mask(expected), right.mask(came))
    assert line == 12_000
    assert what.endswith("came `another line`")
    assert Masked(MASKS).line_of(expected, line) == 12_000
    assert time.process_time() - begin < 30


def test_the_line_that_differs_is_counted_with_the_dropped_ones():
    dropped = "aaaaaaaaaaaa: Verifying Checksum\n"
    text = f"one\n{dropped}{dropped}two\n{dropped}three\n"
    assert [Masked(MASKS).line_of(text, line) for line in (1, 2, 3)] == [1, 4, 6]


def test_of_a_long_line_the_part_is_shown_in_which_it_differs():
    expected, came = "a" * 10_000 + "b", "a" * 10_000 + "c"
    assert excerpt(expected, came).endswith("aab")
    assert excerpt(came, expected).endswith("aac")
    assert len(excerpt(came, expected)) < 202
    assert excerpt("a" * 300) == "a" * 200 + "…"
    assert excerpt("short", "other") == "short"
