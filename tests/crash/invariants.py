"""What must be true of a world at rest, whichever process was killed: a sentence per problem."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tests.crash.transitions import Outcome, Seen, Transition
from tests.crash.world import NAME, World

from gaovm.daemon.config import copies
from gaovm.daemon.disks import disk_files
from gaovm.spec import vm

#: Files of a running VM: sessions, and the network if it has its own process.
_RUN_FILES = {"driver.sock", "net.sock"}
_VM_FILES = re.compile(
    r"(disk\.qcow2|lock|config\.json|pending_config\.json|provision\.log|cidata\.iso"
    r"|uefi-variables\.fd|sock|(driver|serial|agent)\.(log|idx|times|index)(\.[a-z0-9]+)*)\Z"
)
_TEMPORARY = re.compile(r"\.tmp\.|\.\d+\.[0-9a-f]{8}\Z|\.new\Z|\.corrupt-|\.part(?:ial)?\Z")
_ENDS = {
    "stopped",
    "guest powered off",
    "start failed",
    "driver or hypervisor died",
    "restart scheduled",
    "given up",
    "nothing of an earlier daemon left",
}
_AT_REST = ("stopped", "failed", "backoff")


def look(world: World, state: dict[str, Any] | None) -> Seen:
    """Describe a world at rest in the words of the transitions."""
    sizes = world.query("SELECT size_bytes FROM disks")
    disk = int(sizes[0][0]) >> 20 if sizes else None
    if state is None:
        return Seen("gone", disk=disk)
    ((spec_text, pending_text),) = world.query("SELECT spec, pending FROM vms")
    spec = msgspec.json.decode(pending_text or spec_text, type=vm.VmSpec)
    return Seen(
        "running" if state["desired"] == "running" else "stopped",
        spec.processors.count,
        spec.guest.env.get("A") == "b",
        disk,
    )


def whole(world: World, state: dict[str, Any] | None) -> Iterator[str]:
    """Check that nothing leaks and every file is whole."""
    verdict = world.query("PRAGMA integrity_check")
    if verdict != [("ok",)]:
        yield f"state.db: {verdict}"
    yield from _files(world, state)
    yield from _disks(world)
    yield from _lock(world, state)
    yield from _mirrors(world)
    doubles = world.base / "doubles"
    if doubles.exists():
        yield f"a second hypervisor for one disk: {doubles.read_text()}"
        doubles.unlink()
    yield from _tracebacks(world)


def _files(world: World, state: dict[str, Any] | None) -> Iterator[str]:
    known = world.query("SELECT name, run_id FROM vms")
    vms, runs = {name for name, _ in known}, {run for _, run in known}
    for folder, expected in (("vms", vms), ("run", runs)):
        found = {path.name for path in (world.home / folder).iterdir()}
        if extra := found - expected:
            yield f"{folder}/ holds {sorted(extra)}, which belong to no VM"
    for path in world.home.rglob("*"):
        if _TEMPORARY.search(path.name) and path.name != "state.db":
            yield f"a temporary file was left: {path.relative_to(world.home)}"
    runs_now = state is not None and state["desired"] == "running"
    for run in runs:
        with contextlib.suppress(FileNotFoundError):
            found = {path.name for path in (world.home / "run" / run).iterdir()}
            missing = runs_now and "driver.sock" not in found
            if missing or found - (_RUN_FILES if runs_now else set()):
                yield f"the run directory of a {'running' if runs_now else 'stopped'} VM: {found}"
    for name in vms:
        with contextlib.suppress(FileNotFoundError):
            yield from _vm_files(world.home / "vms" / name, runs=runs_now)


def _vm_files(directory: Path, *, runs: bool) -> Iterator[str]:
    for path in directory.iterdir():
        if not _VM_FILES.match(path.name):
            yield f"vms/{directory.name} holds {path.name}"
    sockets = {path.name for path in (directory / "sock").iterdir()}
    if sockets != ({"x.sock"} if runs else set()):
        yield f"sock/ of a {'running' if runs else 'stopped'} VM holds {sockets}"


def _disks(world: World) -> Iterator[str]:
    """Every row has a whole file of its size, every directory has a row, and nobody has a lock."""
    rows = dict(world.query("SELECT name, size_bytes FROM disks"))
    found = {path.name for path in (world.home / "disks").iterdir()}
    if found != set(rows):
        yield f"disks/ holds {sorted(found)}, and the database {sorted(rows)}"
        return
    for name, size in rows.items():
        directory = world.home / "disks" / name
        if (there := disk_files.find(directory)) is None or there.size_bytes != size:
            yield f"disk {name} is {there}, and its row says {size} bytes"
        files_of = {path.name for path in directory.iterdir()}
        if not files_of <= {"disk.qcow2", "lock"}:
            yield f"disks/{name} holds {sorted(files_of)}"


def _lock(world: World, state: dict[str, Any] | None) -> Iterator[str]:
    path = world.home / "vms" / NAME / "lock"
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    holders = {int(words[4]) for words in locks if words[-3].endswith(f":{inode}")}
    runs = state is not None and state["desired"] == "running"
    wanted = {state["driver_pid"]} if state is not None and runs else set()
    if holders != wanted:
        yield f"the VM's lock is held by {holders} instead of {wanted}"


def _mirrors(world: World) -> Iterator[str]:
    for name, spec, pending in world.query("SELECT name, spec, pending FROM vms"):
        for file, text in ((copies.CONFIG, spec), (copies.PENDING, pending)):
            path = world.home / "vms" / name / file
            wanted = (
                None if text is None else copies.encode(msgspec.json.decode(text, type=vm.VmSpec))
            )
            found = path.read_bytes() if path.exists() else None
            if found != wanted:
                yield f"{file} {_differs(found, wanted)} what the database says"


def _differs(found: bytes | None, wanted: bytes | None) -> str:
    if found is None:
        return "is missing;"
    return "is there against" if wanted is None else "differs from"


def _tracebacks(world: World) -> Iterator[str]:
    for path in [*world.home.glob("logs/*.log"), *world.home.glob("vms/*/driver.log")]:
        with contextlib.suppress(FileNotFoundError):
            text = path.read_text(errors="replace")
            if (at := text.find("Traceback")) >= 0:
                yield f"{path.name}: {text[max(0, at - 200) : at + 1500]}"
                os.truncate(path, 0)


# what was promised


def promised(transition: Transition, victim: str, told: Outcome, seen: Seen) -> Iterator[str]:
    """Compare what the client heard, or could not hear, with what is."""
    if told.told == "refused":
        if victim not in transition.refused_by:
            yield f"refused although the {victim} was killed only: {told.error}"
        lives = {"stopped"} | ({transition.before} - {"gone"})
    elif told.told == "done":
        lives = {transition.after}
    elif victim == "daemon":
        lives = {transition.before, transition.after}
    else:
        yield f"no answer although only the {victim} was killed"
        return
    if seen.life not in lives:
        yield f"told {told.told}: the VM is {seen.life}, not {' or '.join(sorted(lives))}"
    done = told.told == "done"
    if seen.disk not in (transition.disk[1:] if done else transition.disk):
        yield f"told {told.told}: the named disk has {seen.disk} MiB"
    if seen.life == "gone":
        return
    if seen.cpus not in (transition.cpus[1:] if done else transition.cpus):
        yield f"told {told.told}: the VM has {seen.cpus} CPUs"
    if seen.env not in (transition.env[1:] if done else transition.env):
        yield f"told {told.told}: env.A set: {seen.env}"


# what was told


def events(
    transition: Transition, told: Outcome, seen: Seen, was_up: bool, log: list[tuple[str, Any]]
) -> Iterator[str]:
    """Check the durable events: every attempt has exactly one end, and so has every run."""
    yield from _chain(was_up, seen, log)
    kinds = [kind for kind, _ in log]
    for kind in transition.once:
        found = kinds.count(kind)
        if found != 1 and (told.told == "done" or found > 1):
            yield f"told {told.told}: {found} events {kind}"
    made = transition.before == "gone"
    if kinds.count("vm.created") != int(made and seen.life != "gone"):
        yield f"{kinds.count('vm.created')} events vm.created, and the VM is {seen.life}"
    if kinds.count("vm.removed") != int(not made and seen.life == "gone"):
        yield f"{kinds.count('vm.removed')} events vm.removed, and the VM is {seen.life}"
    if "drift.mended" in kinds:
        yield f"drift was mended: {log[kinds.index('drift.mended')][1]}"


def undisturbed(transition: Transition, victim: str, log: list[tuple[str, Any]]) -> Iterator[str]:
    """Check that a zygote's death touches no driver: no VM starts more often than asked."""
    starts = sum(payload.get("event") == "up asked" for _, payload in log)
    if victim == "zygote" and transition.starts not in (None, starts):
        yield f"{starts} starts instead of {transition.starts}, though only the zygote was killed"


def _chain(was_up: bool, seen: Seen, log: list[tuple[str, Any]]) -> Iterator[str]:
    attempt, runs, again = False, was_up, False
    for payload in (payload for kind, payload in log if kind == "vm.state"):
        event = payload["event"]
        if event == "up asked":
            if attempt or runs:
                yield "a second start is told before the end of the first"
            attempt, runs = True, False
        elif event == "agent answered":
            again = runs  # the scripts of a running VM are run once more
        elif event == "became ready":
            if not attempt and not again:
                yield "`became ready` is told twice, or of nothing"
            attempt, runs, again = False, True, False
        elif _is_end(payload):
            if not attempt and not runs:
                yield f"`{event}` ends what had ended already"
            attempt = runs = False
    yield from _outcome(attempt, runs, seen)


def _outcome(attempt: bool, runs: bool, seen: Seen) -> Iterator[str]:
    if attempt:
        yield "the last start has no end"
    if runs != (seen.life == "running"):
        yield f"by its events the VM runs: {runs}, but it is {seen.life}"


def _is_end(payload: dict[str, Any]) -> bool:
    return payload["event"] in _ENDS and payload["observed"] in _AT_REST
