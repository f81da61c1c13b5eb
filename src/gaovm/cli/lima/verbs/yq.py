"""``gaovm lima yq``: yq's own command line."""

from __future__ import annotations

import os
import sys

from gaovm.cli import options
from gaovm.cli.lima import querying, say, verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def yq(parsed: options.Parsed, tell: say.Log) -> int:
    """Run yq's command line in place of this process."""
    path = querying.program()
    sys.stdout.flush()
    os.execv(path, [path, "yq", *parsed.rest])


class _Yq(verb.Verb):
    """Leaves every word to yq, also those that look like flags of ours."""

    def parse(self, argv: Sequence[str]) -> options.Parsed:
        """Return the words as they are."""
        parsed = options.Parsed()
        parsed.rest = list(argv)
        return parsed


YQ = _Yq("yq", yq, about="Run yq, the processor of YAML, JSON and more.", rest="WORDS...")
