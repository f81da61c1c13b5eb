"""``gaovm version``."""

from __future__ import annotations

from gaovm.cli import options, output


def run(parsed: options.Parsed) -> int:
    """Print the version of the installed package."""
    from importlib import metadata

    version = metadata.version("gaovm")
    if parsed.flag("json"):
        output.json_out({"version": version})
    else:
        output.out(f"gaovm {version}")
    return 0


VERSION = options.Command(
    "version", run, about="Print the version.", options=(options.JSON,), examples=("gaovm version",)
)
