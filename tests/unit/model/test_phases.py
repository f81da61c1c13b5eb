"""Which phases of an ``up`` come before the agent's answer, so that Ctrl-C undoes them."""

from __future__ import annotations

from gaovm.model import phases


def test_phases_before_the_agents_answer() -> None:
    assert phases.AGENT not in phases.BEFORE_AGENT
    assert {phases.IMAGE, phases.DRIVER, phases.BOOT, *phases.OF_IMAGES} < set(phases.BEFORE_AGENT)
    assert len(phases.BEFORE_AGENT) == len(set(phases.BEFORE_AGENT))
    assert "provision" not in phases.BEFORE_AGENT
