"""What the loop adds to the compiled step is measured on the loop itself."""

import dataclasses

import pytest

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
    found = loop_overhead.measure(config, num_logits=10)
    assert calls == ["_bare", "_bare", "_bare", "_looped", "_bare", "_looped"]
    assert (found.model, found.batch_size, found.rounds) == ("tiny", 32, 2)
    assert min(found.bare_step_ms, found.loop_step_ms) > 0
    assert found.overhead > -1


def test_a_slower_loop_shows_as_overhead(config, monkeypatch):
    monkeypatch.setattr(loop_overhead, "_bare", lambda _, state, *rest: (state, 0.004))
    monkeypatch.setattr(loop_overhead, "_looped", lambda _, __, state, *rest: (state, 0.005))
    found = loop_overhead.measure(config, num_logits=10)
    assert dataclasses.astuple(found)[4:7] == pytest.approx((4.0, 5.0, 0.25))
