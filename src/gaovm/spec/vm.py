"""The complete spec of one VM."""

from __future__ import annotations

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.boot import Boot
from gaovm.spec.disks import AdditionalDisk, Disk, Image
from gaovm.spec.graphics import Graphics
from gaovm.spec.guest import Guest
from gaovm.spec.memory import Memory
from gaovm.spec.network import Network
from gaovm.spec.processors import Processors
from gaovm.spec.shares import Share
from gaovm.spec.ssh import Ssh
from gaovm.spec.supervision import Supervision


class VmSpec(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wanted VM. The CLI shows ``message`` to the user after ``up``."""

    name: str
    image: Image
    guest: Guest
    boot: Boot = Boot()
    processors: Processors = Processors()
    memory: Memory = Memory()
    disk: Disk = Disk()
    additional_disks: tuple[AdditionalDisk, ...] = ()
    network: Network = Network()
    shares: tuple[Share, ...] = ()
    graphics: Graphics = Graphics()
    ssh: Ssh = Ssh()
    supervision: Supervision = Supervision()
    message: str = ""


def to_builtins(spec: VmSpec) -> object:
    """Return the spec as JSON data (dicts, lists, strings, numbers)."""
    return msgspec.to_builtins(spec)
