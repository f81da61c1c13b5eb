"""What each back end can do: one table, for people, programs and the reference.

A feature names the methods of ``gaovm.driver.v1`` that it needs. Which of them a driver serves, its
hello says; a call that needs others is refused by name before anything is touched. A test holds
that every method of a driver stands in one row.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """Something a user can want of a VM, in the words of the command line."""

    name: str
    meaning: str
    methods: tuple[str, ...] = ()


class Backend(NamedTuple):
    """A hypervisor. ``offers``: its features; what ``limits`` says of one goes with it."""

    name: str
    about: str
    present: bool
    offers: frozenset[str] = frozenset()
    limits: dict[str, str] = {}  # noqa: RUF012  (a tuple's default, never changed)


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
    Feature("guest-info", "load, memory and addresses in the guest", ("guest.info",)),
    Feature("virtiofs", "shared directories by virtiofsd"),
    Feature("9p", "shared directories by the hypervisor itself"),
    Feature("pause", "halt the processors and go on", ("vm.pause", "vm.resume")),
    Feature("heartbeat", "a hung guest is noticed by its agent's silence"),
    Feature("watchdog", "a watchdog device that the guest's agent feeds", ("watchdog.reaction",)),
    Feature(
        "display",
        "a window that opens and closes",
        ("display.open", "display.close", "display.status"),
    ),
    Feature("screenshot", "a picture of the display", ("display.screenshot",)),
    Feature("log-level", "driver and agent log more or less at once", ("log.level",)),
    Feature("grow-disk", "a larger disk and file system without a restart", ("disk.grow",)),
    Feature("environment", "other variables without a restart", ("guest.environment",)),
    Feature("provision", "scripts run again without a restart", ("guest.provision",)),
    Feature("hot-plug", "processors and memory without a restart"),
    Feature("snapshot", "save the state of a VM and go back to it"),
)

_QEMU = {feature.name for feature in FEATURES} - {"hot-plug", "snapshot"}

BACKENDS = (
    Backend(
        "qemu",
        "QEMU on Linux and macOS",
        present=True,
        offers=frozenset(_QEMU),
        limits={
            "hot-plug": "they change at the next start",
            "snapshot": "there is none yet",
        },
    ),
    Backend("cloud-hypervisor", "Cloud Hypervisor on Linux", present=False),
    Backend("vz", "Virtualization.framework on macOS", present=False),
    Backend("hcs", "the Host Compute Service of Windows", present=False),
)

_HEAD = """\
# What each back end can do

Generated from `gaovm.model.capabilities`; `pytest tests/architecture --regenerate` rewrites it.
What of it works on a machine, and why the rest does not, is asked of that machine.

A driver says in its hello which methods it serves. What needs a method that it does not serve, as
one of an older version, is refused with `capability_missing`, naming the method, before anything
is touched.
"""


def render_markdown() -> str:
    """``docs/reference/capabilities.md``."""
    names = [backend.name for backend in BACKENDS]
    lines = [
        f"| feature | what it is | {' | '.join(names)} | methods of the driver |",
        "|---|---|" + "---|" * len(names) + "---|",
    ]
    for feature in FEATURES:
        cells = [_cell(backend, feature.name) for backend in BACKENDS]
        methods = ", ".join(f"`{method}`" for method in feature.methods)
        lines.append(f"| `{feature.name}` | {feature.meaning} | {' | '.join(cells)} | {methods} |")
    about = [
        f"- `{backend.name}`: {backend.about}" + ("." if backend.present else "; not present yet.")
        for backend in BACKENDS
    ]
    return "\n".join([_HEAD, *about, "", *lines]) + "\n"


def _cell(backend: Backend, feature: str) -> str:
    if not backend.present:
        return "–"
    if feature in backend.offers:
        return "yes"
    return f"no: {backend.limits[feature]}" if feature in backend.limits else "no"
