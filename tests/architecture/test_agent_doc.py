"""The lists in ``docs/reference/agent-protocol.md`` are what the structs say."""

from __future__ import annotations

from pathlib import Path

from tests.architecture import blocks

from gaovm.wire.agent import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "agent-protocol.md"


def test_the_lists_of_the_agents_protocol_are_up_to_date(regenerate: bool) -> None:
    blocks.check(PAGE, "calls", page.calls(), regenerate=regenerate)
    blocks.check(PAGE, "streams", page.streams(), regenerate=regenerate)
