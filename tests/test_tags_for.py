import tomllib

import pytest

from conftest import ROOT
from megalotron_images.convention import tags_for
from megalotron_images.errors import RuleBroken

CASES = tomllib.loads((ROOT / "docs" / "tags-for.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_a_git_reference_writes_what_the_page_says(case):
    event = case.get("event", "push")
    if case.get("refused"):
        with pytest.raises(RuleBroken):
            tags_for(case["ref"], event)
    else:
        assert str(tags_for(case["ref"], event) or "") == case["writes"]


@pytest.mark.parametrize("ref", ["", "main", "v1.0.0", "refs/", "refs/heads/", "refs/tags/"])
def test_what_is_no_full_reference_is_refused(ref):
    with pytest.raises(RuleBroken, match="not a full git reference"):
        tags_for(ref)
