"""What there is to say about one method of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import msgspec

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")

#: ``read``: changes nothing and is answered while an upgrade waits; ``change``: everything else;
#: ``operation``: begins work that a stopping daemon does not begin any more.
Kind = Literal["read", "change", "operation"]


@dataclass(frozen=True)
class Method(Generic[P, R]):
    """One row of a protocol's table; its types check both the caller and whoever answers.

    ``streams``: sends ``progress`` notifications before its result. ``core``: every driver has it;
    whether a driver has another, its hello says. ``about``: one line for the reference.
    """

    name: str
    params: type[P]
    result: type[R]
    kind: Kind = "change"
    streams: bool = False
    core: bool = False
    about: str = ""
