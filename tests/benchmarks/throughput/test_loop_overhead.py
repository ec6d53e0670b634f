"""What the loop adds to the compiled step is measured on the loop itself."""

import dataclasses

import pytest

from benchmarks.config.setup import set_up
from benchmarks.throughput import loop_overhead


def test_bare_and_looped_steps_are_timed_in_turns(config, monkeypatch):
    monkeypatch.setattr(loop_overhead, "_ROUNDS", 2)
    monkeypatch.setattr(loop_overhead, "_SECONDS_A_ROUND", 0.01)
    calls = []
    for name in ("_bare", "_looped"):
        timed = getattr(loop_overhead, name)
        monkeypatch.setattr(
            loop_overhead,
            name,
            lambda *given, name=name, timed=timed: (calls.append(name), timed(*given))[1],
        )
    measured = loop_overhead.measure(set_up(config, 10))
    assert calls == ["_bare", "_bare", "_bare", "_looped", "_bare", "_looped"]
    assert (measured.model, measured.batch_size, measured.rounds) == ("tiny", 32, 2)
    assert min(measured.bare_step_ms, measured.loop_step_ms) > 0
    assert measured.overhead > -1


def test_a_slower_loop_shows_as_overhead(config, monkeypatch):
    monkeypatch.setattr(loop_overhead, "_bare", lambda setup, program, state, *rest: (state, 0.004))
    monkeypatch.setattr(
        loop_overhead, "_looped", lambda setup, program, state, *rest: (state, 0.005)
    )
    measured = loop_overhead.measure(set_up(config, 10))
    assert dataclasses.astuple(measured)[4:7] == pytest.approx((4.0, 5.0, 0.25))
