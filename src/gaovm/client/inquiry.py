"""Find out why a VM is silent: ask the daemon, and ask the kernel about the VM's processes.

Sessions load this module only once a VM has been silent for a while.
"""

from __future__ import annotations

import socket

from gaovm import errors
from gaovm.client import blocking, paths
from gaovm.ipc import blocking as wire
from gaovm.platform import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_HELLO_S = 0.25
_STATUS_S = 0.25
_GUEST_S = 0.5
#: The longest that ``ask`` takes, in seconds.
LIMIT_S = _HELLO_S + _STATUS_S + _GUEST_S


class Finding:
    """Whether the guest answers; if not, one line that says why, and the actions that help."""

    __slots__ = ("actions", "answers", "why")

    def __init__(self, why: str = "", actions: tuple[errors.Action, ...] = ()) -> None:
        # parts of it may come from the guest's console
        self.why = "".join(char if char.isprintable() else " " for char in why)
        self.answers = not why
        self.actions = actions


def ask(home: str, vm: Mapping[str, Any]) -> Finding:
    """Find out whether a VM answers, in at most ``LIMIT_S``. Never raises an error of the tree.

    ``vm`` holds the parameters that identify the VM.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_HELLO_S)
            sock.connect(paths.socket(home))
            terms = blocking.terms()
            with wire.BlockingConnection(sock, terms, limit_s=_HELLO_S, withdraw=False) as link:
                return _of_status(link, vm)
    except (errors.GaoError, OSError):
        return Finding("the VM is silent, and the daemon does not answer either")


def _of_status(link: wire.BlockingConnection, vm: Mapping[str, Any]) -> Finding:
    try:
        status = link.call("vm.status", vm, _STATUS_S)
    except errors.VmNotFound:
        return Finding("the VM no longer exists")
    # the daemon knows which VM belongs to a directory
    name = f"VM {status.get('name')}"
    known = _known(status, name)
    if known:
        return known
    try:
        asked = link.call("vm.status", {**vm, "guest": True}, _GUEST_S)
    except errors.TimeLimit:
        asked = {}
    if asked.get("guest"):
        return Finding()
    failure = status.get("last_error") if status.get("readiness") == "degraded" else None
    why = f": {failure.get('message')}" if failure else ", and its agent does not answer either"
    return Finding(f"{name} does not answer{why}")


def _known(status: Mapping[str, Any], name: str) -> Finding | None:
    """Return what the daemon and the kernel know without asking the guest, or None."""
    if status.get("observed") != "running":
        return Finding(f"{name} is not running: it is {status.get('state')}")
    if status.get("paused"):
        resume = errors.Action("resume_vm", name=str(status.get("name")))
        return Finding(f"{name} is paused: {pause_reason(status)}", (resume,))
    for key, what in (("hypervisor_pid", "hypervisor"), ("driver_pid", "driver")):
        pid = status.get(key)
        if isinstance(pid, int) and processes.is_stopped(pid):
            return Finding(f"{name} stands still: its {what} was stopped (kill -CONT {pid})")
    return None


def pause_reason(status: Mapping[str, Any]) -> str:
    """Return why a VM is paused, from its ``vm.status``."""
    failure = status.get("last_error") if status.get("readiness") == "degraded" else None
    return str(failure.get("message")) if failure else "a user paused it"
