"""The one table of ``gaovm.driver.v1``: every method that the daemon may call.

The driver's service and the daemon's link take their types from a row; the names that are offered
in hello, the drivers' core and the reference page are made from all of them.
"""

from __future__ import annotations

from typing import Any

from gaovm.wire.agent import info
from gaovm.wire.driver import launch, params, results
from gaovm.wire.method import Method

PING = Method(
    "ping",
    params.Nothing,
    results.Pong,
    kind="read",
    core=True,
    about="A driver leaves 15 s after the last call of the daemon.",
)
VM_CONFIGURE = Method(
    "vm.configure",
    launch.LaunchRequest,
    results.Choices,
    core=True,
    about="Take the VM's lock, check and bind ports, resolve mounts, make or grow the disk; start"
    " nothing.",
)
VM_START = Method(
    "vm.start",
    params.Nothing,
    results.Started,
    core=True,
    about="Execute the hypervisor; notifications report the boot.",
)
VM_STOP = Method(
    "vm.stop",
    params.Stop,
    results.Stopped,
    core=True,
    about="End the guest, by its agent, by ACPI, by force, and answer when the hypervisor is gone."
    " The driver then waits for `exit` or end of file. A paused VM is resumed first.",
)
VM_STATUS = Method(
    "vm.status",
    params.Nothing,
    results.VmStatus,
    kind="read",
    core=True,
    about="Return what the driver chose, what is in force, and how far the guest is.",
)
VM_PAUSE = Method(
    "vm.pause", params.Nothing, results.Paused, about="Stop the guest's processors and clocks."
)
VM_RESUME = Method("vm.resume", params.Nothing, results.Paused, about="Let a paused guest go on.")
VM_KILL = Method(
    "vm.kill",
    params.Kill,
    results.Done,
    about="End the hypervisor by SIGKILL; the state that follows is `failed` with this reason.",
)
SESSION_OPEN = Method(
    "session.open",
    params.OpenSession,
    results.Session,
    about="Issue a ticket, good once and for `ttl_s` seconds, that opens only this kind.",
)
PORTS_ADD = Method(
    "ports.add", params.AddPort, results.Port, about="Bind a host port and forward it at once."
)
PORTS_REMOVE = Method(
    "ports.remove",
    params.RemovePort,
    results.RemovedPorts,
    about="Close the listeners that match all given values.",
)
PORTS_LIST = Method(
    "ports.list",
    params.Nothing,
    results.Ports,
    kind="read",
    about="All forwards; those that are always open first.",
)
PORTS_RULES = Method(
    "ports.rules",
    params.PortRules,
    results.Ports,
    about="Let other rules decide which of the guest's servers are forwarded, and answer as"
    " `ports.list`.",
)
GUEST_INFO = Method(
    "guest.info", params.Nothing, info.Info, kind="read", about="Ask the agent about its guest."
)
GUEST_ENVIRONMENT = Method(
    "guest.environment",
    params.Environment,
    results.Done,
    about="Set all variables of every later command.",
)
GUEST_NAMES = Method(
    "guest.names",
    params.Names,
    results.Done,
    about="Set the guest's time zone, and the names of its `/etc/hosts`.",
)
GUEST_PROVISION = Method(
    "guest.provision",
    params.Provision,
    results.Done,
    about="Set the guest up again with these scripts and probes; `state` reports the progress."
    " `state_conflict` while the guest is still being set up.",
)
DISK_GROW = Method(
    "disk.grow",
    params.GrowDisk,
    results.Grown,
    about="Grow the disk of the running VM, then the guest's file system.",
)
WATCHDOG_REACTION = Method(
    "watchdog.reaction",
    params.Reaction,
    results.Done,
    about="Set the reaction to a hang of the running guest.",
)
LOG_LEVEL = Method(
    "log.level",
    params.LogLevel,
    results.LogLevel,
    about="Set or return the level of the driver and the agent.",
)
DISPLAY_OPEN = Method(
    "display.open",
    params.OpenDisplay,
    results.Display,
    about="Open the window, and answer when it shows; an open one comes to the front.",
)
DISPLAY_CLOSE = Method(
    "display.close", params.Nothing, results.Display, about="Close the window; the VM goes on."
)
DISPLAY_STATUS = Method(
    "display.status",
    params.Nothing,
    results.Display,
    kind="read",
    about="Return whether there is a display, and a window.",
)
DISPLAY_SCREENSHOT = Method(
    "display.screenshot",
    params.Nothing,
    results.Screenshot,
    about="Write what the display shows to a file in the VM's directory.",
)
EXIT = Method(
    "exit", params.Nothing, results.Done, core=True, about="Leave; stop a VM that runs first."
)

#: Every method by its name, which is also its capability.
METHODS: dict[str, Method[Any, Any]] = {
    row.name: row for row in list(globals().values()) if isinstance(row, Method)
}
#: What both sides offer in hello.
NAMES: tuple[str, ...] = ("hello", *METHODS)
#: What the daemon needs from every driver; a driver's hello says what else it serves.
CORE: tuple[str, ...] = ("hello", *(row.name for row in METHODS.values() if row.core))
