"""The garbage collector is off only within a pause."""

import gc

import pytest

from isobudget import collector


def test_it_is_off_within_a_pause_alone():
    with collector.paused():
        assert not gc.isenabled()
        with collector.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_on_again_after_an_error():
    with pytest.raises(ValueError, match="within"), collector.paused():
        raise ValueError("within")
    assert gc.isenabled()


def test_it_stays_off_where_somebody_turned_it_off():
    gc.disable()
    try:
        with collector.paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
