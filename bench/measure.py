"""What every benchmark shares: interleaved runs, medians, ratios, JSON.

Machines are noisy: the two sides of a comparison take turns. A report has only medians and ratios,
with the spread beside them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def summary(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Count, minimum, median and maximum."""
    return {
        "n": len(values),
        "min": round(min(values), digits),
        "median": round(statistics.median(values), digits),
        "max": round(max(values), digits),
    }


def interleaved(runs: int, **sides: Callable[[], float]) -> dict[str, list[float]]:
    """Return each side's values from ``runs`` rounds in which the sides take turns."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(runs):
        order = list(sides.items())
        for name, side in order if number % 2 == 0 else reversed(order):
            values[name].append(side())
            print(f"  {name} {number + 1}/{runs}: {values[name][-1]:.4f}", file=sys.stderr)
    return values


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Divide median by median."""
    return round(statistics.median(ours) / statistics.median(theirs), 3)


def report(figure: str, command: str, **result: Any) -> None:
    """Print one figure as a JSON object on a line."""
    print(json.dumps({"figure": figure, "command": command, **result}), flush=True)
