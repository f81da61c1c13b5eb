"""Generate ``docs/reference/capabilities.md``, features by back end, from the two tables."""

from __future__ import annotations

from gaovm.builder import backends
from gaovm.model import capabilities

_HEAD = """\
# What each back end can do

Generated from `gaovm.model.capabilities` and `gaovm.builder.backends`;
`pytest tests/architecture --regenerate` rewrites it. Each machine reports which of these features
work on it, and why the others do not.

A driver says in its hello which methods it serves. A driver of an older version may lack some. When
a request needs a missing method, GaoVM refuses it with `capability_missing` and names the method,
before it changes anything.
"""


def render_markdown() -> str:
    """``docs/reference/capabilities.md``."""
    names = [backend.name for backend in backends.BACKENDS]
    lines = [
        f"| feature | what it is | {' | '.join(names)} | methods of the driver |",
        "|---|---|" + "---|" * len(names) + "---|",
    ]
    for feature in capabilities.FEATURES:
        cells = [_cell(backend, feature.name) for backend in backends.BACKENDS]
        methods = ", ".join(f"`{method}`" for method in feature.methods)
        lines.append(f"| `{feature.name}` | {feature.meaning} | {' | '.join(cells)} | {methods} |")
    about = [
        f"- `{backend.name}`: {backend.about}" + ("." if backend.present else "; not present yet.")
        for backend in backends.BACKENDS
    ]
    return "\n".join([_HEAD, *about, "", *lines]) + "\n"


def _cell(backend: backends.Backend, feature: str) -> str:
    if not backend.present:
        return "–"
    if feature in backend.offers:
        return "yes"
    return f"no: {backend.limits[feature]}" if feature in backend.limits else "no"
