"""Which VM the caller means: what the parameters of every method about one VM have in common."""

from __future__ import annotations

import msgspec

from gaovm.wire.control.bounds import Text


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
