"""What there is to say about one method of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

#: ``read``: changes nothing and is answered while an upgrade waits; ``change``: everything else;
#: ``operation``: begins work that a stopping daemon does not begin any more.
Kind = Literal["read", "change", "operation"]


@dataclass(frozen=True)
class Method:
    """One row of a protocol's table.

    ``streams``: sends ``progress`` notifications before its result. ``core``: every driver has it;
    whether a driver has another, its hello says. ``about``: one line for the reference.
    """

    name: str
    params: type[msgspec.Struct]
    result: type
    kind: Kind = "change"
    streams: bool = False
    core: bool = False
    about: str = ""
