"""Generate ``docs/reference/states.md`` from the transition table, so that both always agree."""

from __future__ import annotations

from gaovm.model import states

_HEAD = """\
# States of a VM

Generated from `gaovm.model.states`; `pytest tests/architecture --regenerate` rewrites it.

A state has four parts: `desired` (what the user last asked for), `observed`, `readiness` (while
running) and `first_up` (whether the VM was ever fully up). An event that is not listed for a
phase is refused and changes nothing.
"""


def _phase(phase: states.Phase) -> str:
    observed, readiness = phase
    return f"`{observed}`" if readiness is None else f"`{observed}` · `{readiness}`"


def _events() -> list[str]:
    lines = ["## Events", "", "| event | meaning | desired becomes |", "|---|---|---|"]
    for event in states.Event:
        desire = states.DESIRES.get(event)
        lines.append(
            f"| {event.value} | {states.MEANING[event]} | {f'`{desire}`' if desire else ''} |"
        )
    return lines


def _transitions() -> list[str]:
    lines = ["## Transitions", "", "| from | event | to |", "|---|---|---|"]
    for phase in states.PHASES:
        for event, target in states.TRANSITIONS[phase].items():
            lines.append(f"| {_phase(phase)} | {event.value} | {_phase(target)} |")
    return lines


def _first_ups() -> list[str]:
    lines = ["## The first `up`", "", "| `first_up` | event | becomes |", "|---|---|---|"]
    for (before, event), after in states.FIRST_UPS.items():
        lines.append(f"| `{before}` | {event.value} | `{after}` |")
    return lines


def render_markdown() -> str:
    """Return the whole page."""
    parts = [_HEAD.splitlines(), _events(), _transitions(), _first_ups()]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"
