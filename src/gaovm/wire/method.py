"""What there is to say about one method of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import msgspec

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")

#: ``read``: changes nothing, and is answered while an upgrade waits; ``operation``: begins work
#: that a stopping daemon does not begin any more; ``change``: everything else.
Kind = Literal["read", "change", "operation"]


@dataclass(frozen=True)
class Method(Generic[P, R]):
    """One row of a protocol's table; its types check both the caller and the function that answers.

    ``streams``: sends ``progress`` notifications before its result. ``core``: every driver has it;
    a driver's hello says which others it has. ``about``: what it does, for the reference.
    ``spared``: not a read, but answered while an upgrade waits, as it begins nothing that lasts.
    """

    name: str
    params: type[P]
    result: type[R]
    kind: Kind = "change"
    streams: bool = False
    core: bool = False
    about: str = ""
    spared: bool = False
