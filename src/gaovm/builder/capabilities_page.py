"""``docs/reference/capabilities.md``: features by back ends, generated from the two tables."""

from __future__ import annotations

from gaovm.builder import backends
from gaovm.model import capabilities

_HEAD = """\
# What each back end can do

Generated from `gaovm.model.capabilities` and `gaovm.builder.backends`;
`pytest tests/architecture --regenerate` rewrites it. What of it works on a machine, and why the
rest does not, is asked of that machine.

A driver says in its hello which methods it serves. What needs a method that it does not serve, as
one of an older version, is refused with `capability_missing`, naming the method, before anything
is touched.
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
