"""What the parameters of several nouns share: bounded values, and which VM is meant."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gaovm import errors

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=76)]
Home = Annotated[str, msgspec.Meta(max_length=512)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
ConfigText = Annotated[str, msgspec.Meta(max_length=1 << 20)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]
StopSeconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
#: The caller's words to JSON values; null takes a word away.
Changes = Annotated[dict[Text, Any], msgspec.Meta(max_length=200)]
#: When a call that starts a VM answers: once the wish is on disk, the agent answers, all is ready.
Wait = Literal["none", "agent", "ready"]

Level = Literal["error", "warn", "info", "debug"]

Struct = TypeVar("Struct", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class OfVm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every method about one VM takes.

    ``of_project``: the caller gave no name and means the VM of this project's directory; ``name``
    is then only what that VM would usually be called. The daemon never touches another
    directory's VM.
    """

    name: Text
    of_project: Text | None = None


class Named(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The VM's name, and nothing else."""


def decode(kind: type[Struct], method: str, data: Any) -> Struct:
    """Decode the parameters of a call; None stands for no parameters.

    Raises:
        errors.InvalidParams: the data does not fit; ``field`` is the path, as in ``user.uid``.
    """
    try:
        return msgspec.convert({} if data is None else data, kind)
    except msgspec.ValidationError as exc:
        what, _, path = str(exc).partition(" - at ")
        field = path.strip("`").removeprefix("$.").removeprefix("$") or None
        where = f"{field}: " if field else ""
        raise errors.InvalidParams(f"{method}: {where}{what}", field=field) from exc


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a call is: what is being done, and of a download or a build how much of it.

    ``rate_bytes_s``: bytes per second; ``eta_s``: seconds that remain. What is not known is not
    sent.
    """

    phase: str
    message: str
    percent: float | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    rate_bytes_s: float | None = None
    eta_s: float | None = None
