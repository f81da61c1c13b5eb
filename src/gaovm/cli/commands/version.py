"""``gaovm version``."""

from __future__ import annotations

from gaovm import version
from gaovm.cli import options, output


def run(parsed: options.Parsed) -> int:
    """Print the version of the installed package."""
    if parsed.flag("json"):
        output.json_out({"version": version.VERSION})
    else:
        output.out(f"gaovm {version.VERSION}")
    return 0


VERSION = options.Command(
    "version", run, about="Print the version.", options=(options.JSON,), examples=("gaovm version",)
)
