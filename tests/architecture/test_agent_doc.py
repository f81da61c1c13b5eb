"""The tables of ``docs/reference/agent-protocol.md`` agree with the structs."""

from __future__ import annotations

from pathlib import Path

from tests.architecture import blocks

from gaovm.wire.agent import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "agent-protocol.md"


def test_the_tables_of_the_agents_protocol_are_up_to_date(regenerate: bool) -> None:
    blocks.check(PAGE, "calls", page.calls(), regenerate=regenerate)
    blocks.check(PAGE, "streams", page.streams(), regenerate=regenerate)
