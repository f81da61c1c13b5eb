"""``gaovm lima``: Lima's command line; ``gaovm.cli.lima`` reads its words."""

from __future__ import annotations

import importlib

from gaovm.cli import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(parsed: options.Parsed) -> int:
    """Run a command line of Lima's."""
    # by name, as the catalog does: its verbs use the modules of this package
    code: int = importlib.import_module("gaovm.cli.lima.main").run(parsed.rest)
    return code


class _Lima(options.Command):
    """Leaves every word to Lima's command line, flags before its verb too."""

    def parse(self, argv: Sequence[str]) -> options.Parsed:
        """Return the words as they are."""
        parsed = options.Parsed()
        parsed.rest = list(argv)
        return parsed

    def help(self) -> str:
        """Return the overview of the verbs."""
        text: str = importlib.import_module("gaovm.cli.lima.main").overview()
        return text


LIMA = _Lima(
    "lima",
    run,
    about="Lima's command line, for its users' habits and scripts: the verbs, flags, formats and\n"
    "exit codes of limactl. gaovm lima help lists the verbs; alias limactl='gaovm lima'.\n"
    "Instances have their directories in $LIMA_HOME, by default $GAOVM_HOME/lima.",
    rest="VERB [WORDS...]",
    examples=(
        "gaovm lima start --name=web ./web.yaml",
        "gaovm lima list --json",
        "gaovm lima shell web uname -a",
    ),
)
