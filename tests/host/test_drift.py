import pytest

import drift
from rehearsal.runbook.masks import load_masks

SAMPLE = 12


@pytest.mark.parametrize("seed", [20261124])
def test_a_stale_edit_is_noticed(seed):
    tried, left = drift.survivors([], SAMPLE, seed)
    assert tried == SAMPLE
    missed = [change for change in left if not drift.explained(change)]
    assert not missed, "\n\n".join(map(str, missed))


def test_every_notebook_has_enough_changes_to_try():
    settings = drift.load_settings(drift.ROOT)
    for runbook in drift.find_runbooks(settings, ()):
        assert len(drift.changes(runbook, load_masks(settings.masks))) >= 30
