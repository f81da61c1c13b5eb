"""Write the list in ``docs/crash-matrix.md``: ``python -m tests.crash.document``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.crash import matrix
from tests.crash.transitions import ALL

_MARK = "<!-- from here on generated: python -m tests.crash.document -->\n"
_STEP = re.compile(r"^\| `([\w.]+)` \|", re.M)
_LETTERS = {"daemon": "D", "zygote": "Z", "driver": "d", "hypervisor": "h"}


def render(found: Mapping[str, Sequence[matrix.Point]]) -> str:
    """Return the list, from the mark on."""
    count = sum(len(points) for points in found.values())
    parts = [
        _MARK,
        f"\n**{count} points** in {len(found)} transitions. ",
        "Victims: D daemon, Z zygote, d driver, h hypervisor;\nbegin and end of the step apart.\n",
    ]
    for transition in ALL:
        points = found[transition.name]
        parts.append(
            f"\n## {transition.name}\n\n{_sentence(transition.what)}: {len(points)} points.\n\n"
        )
        parts.append("| step | begin | end |\n|---|---|---|\n")
        names = dict.fromkeys(point.at.rpartition(":")[0] for point in points)
        parts += [
            f"| `{name}` | {_at(points, name, 'begin')} | {_at(points, name, 'end')} |\n"
            for name in names
        ]
    return "".join(parts)


def steps_of(text: str) -> dict[str, set[str]]:
    """Return each transition's steps: their order may vary where two processes work at once."""
    sections = text.split("\n## ")[1:]
    return {part.partition("\n")[0]: set(_STEP.findall(part)) for part in sections}


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _at(points: Sequence[matrix.Point], name: str, which: str) -> str:
    return "".join(
        letter
        for victim, letter in _LETTERS.items()
        if any(point.at == f"{name}:{which}" and point.victim == victim for point in points)
    )


def main() -> None:
    from tests.crash import test_matrix

    found = asyncio.run(test_matrix._find())
    page = Path(test_matrix.DOCUMENT)
    page.write_text(page.read_text().partition(_MARK)[0] + render(found))
    print(sum(len(points) for points in found.values()))


if __name__ == "__main__":
    main()
