"""Values of parameters, with the bounds that the daemon checks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=76)]
Home = Annotated[str, msgspec.Meta(max_length=512)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
ConfigText = Annotated[str, msgspec.Meta(max_length=1 << 20)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]
StopSeconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
#: The caller's keys to JSON values; null removes a key.
Changes = Annotated[dict[Text, Any], msgspec.Meta(max_length=200)]
#: When a call that starts a VM answers: request on disk, agent answers, all ready.
Wait = Literal["none", "agent", "ready"]

Level = Literal["error", "warn", "info", "debug"]
