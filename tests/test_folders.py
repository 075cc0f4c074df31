"""A test's folder says what it needs."""

from conftest import rehearsal


def test_a_unit_test_gets_no_room():
    done = rehearsal("room", "--", "true")
    assert done.returncode == 3
    assert "set REHEARSAL_ROOM_SIZE (now none)" in done.stderr
