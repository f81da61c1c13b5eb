"""The features of a VM, and the methods of ``gaovm.driver.v1`` that each feature needs.

A driver's hello names the methods that it serves. GaoVM refuses a call that needs another method,
and names that method, before it changes anything. A test ensures that every driver method is in one
row. ``builder.backends`` says which back end offers which feature.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """A feature that a user can ask for, in the words of the command line."""

    name: str
    meaning: str
    methods: tuple[str, ...] = ()


FEATURES = (
    Feature(
        "run",
        "boot, stop and watch a VM",
        ("vm.configure", "vm.start", "vm.stop", "vm.status", "vm.kill", "exit"),
    ),
    Feature("kvm", "the processor's own virtualisation, on Linux"),
    Feature("hvf", "the processor's own virtualisation, on macOS"),
    Feature("tcg", "emulation: works everywhere, several times slower"),
    Feature("x86_64", "guests of this architecture: machines q35 and microvm"),
    Feature("aarch64", "guests of this architecture: machine virt"),
    Feature("exec", "exec, shell, cp: sessions through the agent", ("session.open",)),
    Feature(
        "ports",
        "forwarded ports, also while the VM runs",
        ("ports.add", "ports.remove", "ports.list"),
    ),
    Feature("port-rules", "other rules for forwarded ports without a restart", ("ports.rules",)),
    Feature("guest-info", "load, memory and addresses in the guest", ("guest.info",)),
    Feature("virtiofs", "shared directories by virtiofsd"),
    Feature("9p", "shared directories by the hypervisor itself"),
    Feature("pause", "pause and resume the processors", ("vm.pause", "vm.resume")),
    Feature("heartbeat", "a hung guest is noticed by its agent's silence"),
    Feature("watchdog", "a watchdog device that the guest's agent feeds", ("watchdog.reaction",)),
    Feature(
        "display",
        "a window that opens and closes",
        ("display.open", "display.close", "display.status"),
    ),
    Feature("screenshot", "a picture of the display", ("display.screenshot",)),
    Feature("log-level", "change the log level of driver and agent at once", ("log.level",)),
    Feature("grow-disk", "enlarge disk and file system without a restart", ("disk.grow",)),
    Feature("environment", "change the environment without a restart", ("guest.environment",)),
    Feature("names", "change time zone and host names without a restart", ("guest.names",)),
    Feature("provision", "run the scripts again without a restart", ("guest.provision",)),
    Feature("hot-plug", "change processors and memory without a restart"),
    Feature("snapshot", "save the state of a VM and go back to it"),
)
