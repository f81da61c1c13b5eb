"""A cage for one start of one program: prepare it, fork into it, report it, take it down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.platform.confine import abilities, groups, identities, inside, launch
from gaovm.platform.confine.cage import Cage


class Report(NamedTuple):
    """What is in force, in words for people; ``missing``: what is not, and why."""

    uid: int
    measures: tuple[str, ...]
    missing: Mapping[str, str]


class Place:
    """``prepare`` makes it; ``close`` it after the program has ended."""

    def __init__(
        self, cage: Cage, can: abilities.Abilities, name: str, *, beside: Place | None = None
    ) -> None:
        """``beside``: another place, closed later; its control groups hold those of this one."""
        self.cage = cage
        self._can = can
        self._fds: list[int] = []
        self._owns_group = beside is None
        self._group: groups.Group = (
            groups.make(name, cage.limits) if beside is None else beside._group
        )
        try:
            self._parent = self._own(os.pidfd_open(os.getpid()))
            self._group_files = tuple(self._own(fd) for fd in self._group.files())
            self._namespace = -1
            if cage.owners and cage.ids is not None:
                self._namespace = self._own(identities.make_namespace(cage.ids, cage.owners))
        except OSError as exc:
            self.close()
            raise errors.PermissionMissing(
                f"no cage can be made for {name}: {exc.strerror}",
                remedy="allow user namespaces (sysctl user.max_user_namespaces), or use mountType: "
                "virtiofs",
            ) from exc
        self.report = Report(self._uid(), self._measures(), self._missing())

    def _own(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    @property
    def group_parents(self) -> tuple[Path, ...]:
        """The directories that hold its control groups."""
        return self._group.parents

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        output: int,
        pass_fds: Sequence[int],
        last: Callable[[], None] | None = None,
    ) -> int:
        """Start a program in it; return its pid, as ``launch.start`` does.

        ``last`` runs in the confined child, before exec.

        Raises:
            errors.ProgramMissing, errors.HostError: see ``launch.start``.
        """
        plan = inside.Plan(
            self.cage,
            self._parent,
            namespaces=not self._can.namespaces,
            landlock=self._can.landlock > 0,
            group_files=self._group_files,
            user_namespace=self._namespace,
            files=tuple(pass_fds),
        )

        def before_exec() -> None:
            inside.enter(plan)
            if last is not None:
                last()

        return launch.start(
            argv,
            env,
            output=output,
            pass_fds=pass_fds,
            before_exec=before_exec,
            new_pids=plan.namespaces,
        )

    def _uid(self) -> int:
        """Return the program's user id, as the host numbers it."""
        ids = self.cage.ids
        if ids is None:
            return os.geteuid()
        if self._namespace < 0:
            return ids.first
        number = inside.inner_id(self.cage)
        return number if number in {uid for uid, _ in self.cage.owners} else ids.first + number

    def _measures(self) -> tuple[str, ...]:
        cage, found = self.cage, []
        if cage.ids is not None:
            found.append(f"user id {self._uid()}")
        if self._namespace >= 0 or (not self._can.root and not self._can.namespaces):
            found.append("user namespace")
        if not self._can.namespaces:
            found += ["mount, pid, ipc and uts namespaces", "empty root"]
            if not cage.network:
                found.append("no network")
        if cage.ids is not None or not self._can.namespaces:
            found.append("share capabilities only" if cage.capabilities else "no capabilities")
        found.append("no_new_privs")
        if self._can.landlock:
            found.append("Landlock")
        found.append("rlimits")
        if self._group.limited:
            found.append(f"cgroup limits ({', '.join(self._group.limited)})")
        return tuple(found)

    def _missing(self) -> dict[str, str]:
        found = {}
        if self._can.root and self.cage.ids is None:
            found["separate user id"] = identities.obstacle()
        if self._can.namespaces:
            found["namespaces"] = self._can.namespaces
        if self.cage.network and not self._can.namespaces:
            found["network namespace"] = "the VM's network is QEMU's own (slirp)"
        if not self._can.landlock:
            found["Landlock"] = "this kernel has none"
        for controller, why in self._group.missing.items():
            found[f"cgroup {controller}"] = why
        return found

    def close(self) -> None:
        """Release everything. Idempotent."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        if self._owns_group:
            self._group.close()
