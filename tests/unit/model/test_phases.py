"""Which parts of an ``up`` come before the agent's answer, and are undone by Ctrl-C."""

from __future__ import annotations

from gaovm.model import phases


def test_what_comes_before_the_agents_answer() -> None:
    assert phases.AGENT not in phases.BEFORE_AGENT
    assert {phases.IMAGE, phases.DRIVER, phases.BOOT, *phases.OF_IMAGES} < set(phases.BEFORE_AGENT)
    assert len(phases.BEFORE_AGENT) == len(set(phases.BEFORE_AGENT))
    assert "provision" not in phases.BEFORE_AGENT
