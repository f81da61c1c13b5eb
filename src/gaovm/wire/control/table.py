"""The one table of ``gaovm.control.v1``: every method that a client may call.

The daemon's dispatch and its upgrade gate, the typed client and the reference page are made from
it. ``ipc.methods.CONTROL_METHODS`` repeats the names, for clients that must not load msgspec; a
test compares.
"""

from __future__ import annotations

from typing import Any, cast

from gaovm.wire.control import (
    config,
    disks,
    display,
    events,
    images,
    logs,
    ports,
    process,
    sessions,
    status,
    target,
    vms,
)
from gaovm.wire.method import Method

PING = Method("ping", target.Nothing, process.Pong, kind="read", about="The daemon answers.")
CALL_CANCEL = Method(
    "call.cancel",
    process.Cancel,
    process.Cancelled,
    spared=True,
    about="Withdraw from another call of this connection.",
)
DAEMON_STATUS = Method(
    "daemon.status",
    target.Nothing,
    process.DaemonStatus,
    kind="read",
    about="Facts about the daemon.",
)
DAEMON_STOP = Method(
    "daemon.stop",
    target.Nothing,
    process.Stopping,
    spared=True,
    about="Stop all guests gracefully and end the daemon; the next one starts the VMs that ran.",
)
DAEMON_UPGRADE = Method(
    "daemon.upgrade",
    process.Upgrade,
    process.Upgraded,
    kind="operation",
    streams=True,
    spared=True,
    about="""Execute the code that is installed now, in this process; the new code answers.
        Progress phases: `check`, `wait`, `hand over`. Refused with `state_conflict` (what does not
        fit: `details.problems`; with `retriable`: what is under way) or `host_error` (the new code
        does not run). See [upgrade.md](../upgrade.md).""",
)
EVENTS_SUBSCRIBE = Method(
    "events.subscribe",
    events.Subscribe,
    events.Subscribed,
    spared=True,
    about="Send events to this connection. See [Events](control-protocol.md#events).",
)
VM_LIST = Method("vm.list", vms.List, status.VmList, kind="read", about="All VMs, by name.")
VM_STATUS = Method(
    "vm.status",
    vms.Status,
    status.VmReport,
    kind="read",
    about="One VM and what it takes of the host.",
)
VM_UP = Method(
    "vm.up",
    vms.Up,
    status.UpResult,
    kind="operation",
    streams=True,
    about="""Create or start the VM of a project; join an `up` under way. Refused with
        `approval_needed` when the file reaches further than a person approved (`details`:
        `{digest, first, widenings: [{kind, what, before, after}], approved_text}`; `kind` is
        `mount`, `forward`, `image`, `kernel`, `file`, `disk` or
        `host access`); `approve: digest` approves it.""",
)
VM_CREATE = Method(
    "vm.create",
    vms.Create,
    status.Created,
    kind="operation",
    about="""Make a VM and start nothing; the first start makes its disk. Refused with `name_taken`
        when there is one of that name, unless `update` is true, and with `approval_needed` as
        `vm.up`.""",
)
VM_START = Method(
    "vm.start",
    vms.Start,
    status.UpResult,
    kind="operation",
    streams=True,
    about="""Start a VM that exists, with the config of its last `up`. If it dies meanwhile, the
        call follows it through its restarts, unless `wait` is `none`.""",
)
VM_STOP = Method("vm.stop", vms.Stop, status.VmStatus, about="Stop a VM.")
VM_RESTART = Method(
    "vm.restart",
    vms.Restart,
    status.UpResult,
    kind="operation",
    streams=True,
    about="Stop a VM and start it again.",
)
VM_PAUSE = Method(
    "vm.pause",
    target.Named,
    status.VmStatus,
    about="Halt the guest's processors and clocks. Idempotent; `state_conflict` unless it runs.",
)
VM_RESUME = Method(
    "vm.resume",
    target.Named,
    status.VmStatus,
    about="Let a paused guest go on. Idempotent; `state_conflict` unless it runs.",
)
VM_PROTECT = Method(
    "vm.protect",
    vms.Protect,
    status.VmStatus,
    about="Protect a VM from removal, or take the protection away. Idempotent.",
)
VM_DESTROY = Method(
    "vm.destroy",
    target.Named,
    status.Destroyed,
    about="Stop a VM and remove everything of it. `state_conflict` when it is protected.",
)
VM_ADOPT = Method(
    "vm.adopt",
    vms.Adopt,
    cast("type[status.VmStatus | status.Lost]", status.VmStatus | status.Lost),
    about="""Give a VM to a directory; without `name`, list the VMs whose directory is gone.
        `name_taken` when its directory still exists, unless `force` is true.""",
)
VM_PROVISION = Method(
    "vm.provision",
    vms.Provision,
    status.UpResult,
    kind="operation",
    streams=True,
    about="""Run the scripts and probes of a running VM again. With `project`, refused with
        `approval_needed` like `vm.up`.""",
)
VM_CONFIG_SET = Method(
    "vm.config.set",
    config.Set,
    config.SetResult,
    about="Change a VM's overrides: at once where possible, else at the next start.",
)
VM_CONFIG_DIFF = Method(
    "vm.config.diff",
    config.Diff,
    config.DiffResult,
    kind="read",
    about="What the next start changes.",
)
VM_CONFIG_PLAN = Method(
    "vm.config.plan",
    config.Plan,
    config.PlanResult,
    kind="read",
    about="What a change, an `up` or a start would do; changes nothing.",
)
VM_SESSION = Method(
    "vm.session",
    sessions.Open,
    sessions.Ticket,
    streams=True,
    spared=True,
    about="""A ticket for the driver's socket. See
        [Sessions](driver-protocol.md#sessions-bulk-bytes).""",
)
VM_PORTS_LIST = Method(
    "vm.ports.list",
    target.Named,
    ports.PortList,
    kind="read",
    about="The forwards of a VM, and whether the guest serves them.",
)
VM_PORTS_ADD = Method(
    "vm.ports.add",
    ports.Add,
    ports.PortStatus,
    about="Forward a port now and at every later start, until it is removed.",
)
VM_PORTS_REMOVE = Method(
    "vm.ports.remove", ports.Remove, ports.Removed, about="Remove forwards that were added."
)
VM_DISPLAY_OPEN = Method(
    "vm.display.open",
    display.Open,
    display.DisplayStatus,
    about="""Open the window on the caller's desktop; an open one comes to the front.
        `state_conflict` on a headless or stopped VM, `program_missing` without PySide6,
        `host_error` when there is no desktop, `capability_missing` when the driver has no
        window.""",
)
VM_DISPLAY_CLOSE = Method(
    "vm.display.close",
    target.Named,
    display.DisplayStatus,
    about="Close the window; the VM goes on.",
)
VM_DISPLAY_STATUS = Method(
    "vm.display.status",
    target.Named,
    display.DisplayStatus,
    kind="read",
    about="The display and its window.",
)
VM_DISPLAY_SCREENSHOT = Method(
    "vm.display.screenshot",
    target.Named,
    display.Screenshot,
    about="Write what the display shows to a file in the VM's directory.",
)
IMAGE_LIST = Method(
    "image.list",
    target.Nothing,
    images.ImageList,
    kind="read",
    about="All images of the store, and the VMs that use them.",
)
IMAGE_BUILD = Method(
    "image.build",
    images.Build,
    images.Image,
    kind="operation",
    streams=True,
    about="Build an image. Callers of the same build share it.",
)
IMAGE_PULL = Method(
    "image.pull",
    images.Pull,
    images.Image,
    kind="operation",
    streams=True,
    about="Fetch an image. Callers of the same pull share it.",
)
IMAGE_REMOVE = Method(
    "image.remove",
    images.Remove,
    images.Pruned,
    about="Remove an image that no VM uses.",
)
IMAGE_PRUNE = Method(
    "image.prune",
    images.Prune,
    images.Pruned,
    about="""Remove every image that no VM uses. `state_conflict` while an image is being made.""",
)
DISK_LIST = Method(
    "disk.list",
    target.Nothing,
    disks.DiskList,
    kind="read",
    about="All named disks, and the VMs that use them.",
)
DISK_CREATE = Method(
    "disk.create",
    disks.Create,
    disks.DiskInfo,
    about="Make an empty disk. `state_conflict` when there is one of that name.",
)
DISK_IMPORT = Method(
    "disk.import",
    disks.Import,
    disks.DiskInfo,
    about="""Make a disk from a copy of a raw or qcow2 file. `config_invalid` for a file that is no
        disk, or refers to another one.""",
)
DISK_RESIZE = Method(
    "disk.resize",
    disks.Resize,
    disks.DiskInfo,
    about="""Make a disk larger; its file system grows when a VM next starts with it. `disk_in_use`
        while a VM has it, `disk_shrink` for a smaller size.""",
)
DISK_REMOVE = Method(
    "disk.remove",
    disks.Remove,
    disks.RemovedDisk,
    about="""Remove a disk and all that is on it. `disk_in_use` while a VM has it, or while a config
        names it and `force` is not set.""",
)
LOG_LEVEL = Method(
    "log.level",
    logs.SetLevel,
    logs.LevelResult,
    about="""Change or return the level, at once; the VM's later drivers keep it while this daemon
        lives.""",
)

#: All of them by name, in the order of the reference page.
METHODS: dict[str, Method[Any, Any]] = {
    row.name: row for row in list(globals().values()) if isinstance(row, Method)
}
#: What a stopping daemon does not begin any more.
OPERATIONS = frozenset(row.name for row in METHODS.values() if row.kind == "operation")
#: What the daemon answers while an upgrade waits for operations under way.
SPARED = frozenset(row.name for row in METHODS.values() if row.kind == "read" or row.spared)
