"""The one table of back ends: what each can do, the programs it needs, and where its halves are.

A back end consists of a builder (pure, ``builder.NAME``: turns a spec into a document) and a
manager (``vmmanager.NAME``: runs a VM from that document). GaoVM imports both by name when it first
needs them. Nothing else imports them; a contract in ``.importlinter`` enforces this.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

from gaovm import errors
from gaovm.builder.document import BootFiles, Document
from gaovm.model import capabilities
from gaovm.model.facts import HostFacts
from gaovm.spec.boot import Arch
from gaovm.spec.vm import VmSpec


class Builder(Protocol):
    """The pure half of a back end, as a module."""

    def build(self, spec: VmSpec, host: HostFacts, artefacts: BootFiles) -> Document:
        """Build the document of a VM. The same input always gives the same document."""
        ...


class Tool(NamedTuple):
    """A program that a back end needs beside its hypervisor, and the reason."""

    program: str
    why: str


class Backend(NamedTuple):
    """A back end. ``offers`` lists its features; ``limits`` adds a remark to some of them.

    ``hypervisors`` gives for each architecture the program that runs its guests. ``builder`` and
    ``manager`` are module names: the first module is a ``Builder``, the second has what
    ``driver.backend`` expects of a manager.
    """

    name: str
    about: str
    present: bool
    offers: frozenset[str] = frozenset()
    limits: Mapping[str, str] = {}
    hypervisors: Mapping[Arch, str] = {}
    tools: tuple[Tool, ...] = ()
    builder: str = ""
    manager: str = ""


_ALL = frozenset(feature.name for feature in capabilities.FEATURES)

#: The first one is the default.
BACKENDS: tuple[Backend, ...] = (
    Backend(
        "qemu",
        "QEMU on Linux and macOS",
        present=True,
        offers=_ALL - {"hot-plug", "snapshot"},
        limits={
            "hot-plug": "they change at the next start",
            "snapshot": "there is none yet",
        },
        hypervisors={"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"},
        tools=(
            Tool("qemu-img", "needed to make a VM's disk larger"),
            Tool("sftp-server", "needed for mountType: reverse-sshfs"),
        ),
        builder="gaovm.builder.qemu.build",
        manager="gaovm.vmmanager.qemu.manager",
    ),
    Backend("cloud-hypervisor", "Cloud Hypervisor on Linux", present=False),
    Backend("vz", "Virtualization.framework on macOS", present=False),
    Backend("hcs", "the Host Compute Service of Windows", present=False),
)


def present() -> tuple[Backend, ...]:
    """Return the back ends that can be used, the default one first."""
    return tuple(backend for backend in BACKENDS if backend.present)


def find(name: str) -> Backend:
    """Return the back end that ``spec.boot.backend`` names; "" means the default one.

    Raises:
        errors.ConfigError: no back end has that name, or it is not present.
    """
    known = present()
    for backend in known:
        if name in (backend.name, ""):
            return backend
    names = ", ".join(backend.name for backend in known)
    raise errors.ConfigError(
        f"there is no back end {name}", field="vmType", remedy=f"use one of: {names}"
    )


def builder(name: str) -> Builder:
    """Return the builder of a back end; the first call imports it.

    Raises:
        errors.ConfigError: as ``find``.
    """
    return cast("Builder", importlib.import_module(find(name).builder))


def programs() -> tuple[str, ...]:
    """Return every program that a present back end may start."""
    found = [program for backend in present() for program in backend.hypervisors.values()]
    found += [tool.program for backend in present() for tool in backend.tools]
    return tuple(dict.fromkeys(found))
