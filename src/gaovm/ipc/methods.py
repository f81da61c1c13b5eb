"""Names of the protocols and of their methods; a method's name is also its capability."""

from __future__ import annotations

CONTROL = "gaovm.control.v1"
DRIVER = "gaovm.driver.v1"
LEGACY = "gaovm.v1.2"

HELLO = "hello"
PING = "ping"
CANCEL = "call.cancel"
PROGRESS = "progress"
EVENT = "event"
EVENT_LAGGED = "event.lagged"
LOG_LEVEL = "log.level"

REQUIRED = (HELLO, PING)

# the names of ``wire.control.table``, for clients without msgspec; a test compares both
CONTROL_METHODS = (
    HELLO,
    PING,
    CANCEL,
    "daemon.status",
    "daemon.stop",
    "daemon.upgrade",
    "events.subscribe",
    "vm.list",
    "vm.status",
    "vm.up",
    "vm.create",
    "vm.start",
    "vm.stop",
    "vm.restart",
    "vm.pause",
    "vm.resume",
    "vm.protect",
    "vm.destroy",
    "vm.adopt",
    "vm.provision",
    "vm.config.set",
    "vm.config.diff",
    "vm.config.plan",
    "vm.session",
    "vm.ports.list",
    "vm.ports.add",
    "vm.ports.remove",
    "vm.display.open",
    "vm.display.close",
    "vm.display.status",
    "vm.display.screenshot",
    "image.list",
    "image.build",
    "image.pull",
    "image.remove",
    "image.prune",
    "disk.list",
    "disk.create",
    "disk.import",
    "disk.resize",
    "disk.remove",
    LOG_LEVEL,
)

# in the order in which the old daemon offers them
LEGACY_METHODS = (
    HELLO,
    PING,
    "subscribe_events",
    "doctor",
    "driver.exec",
    "list_vms",
    "vm.start",
    "vm.stop",
    "vm.status",
    "vm.open_display",
    "vm.close_display",
    "vm.config.get",
    "vm.config.set",
    "vm.config.patch",
)

# those that begin nothing that lasts: an upgrade that waits lets them pass
LEGACY_READS = (
    PING,
    "subscribe_events",
    "doctor",
    "list_vms",
    "vm.status",
    "vm.config.get",
)
