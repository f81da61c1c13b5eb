"""The named disks of this daemon: made, imported, grown and removed, each safe against a crash.

The row is written first: it says what is being made, how large a disk shall be, or that it goes.
The next daemon finishes or undoes that (``recover``). A disk's lock is free or held by the driver
of the VM that uses it; it falls when that process ends, however it ends. Work on a disk takes the
lock too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import commands, files, steps, threads
from gaovm.builder import packages
from gaovm.daemon import paths, timestamps
from gaovm.daemon.disks import disk_files
from gaovm.daemon.storage import disk_rows, store
from gaovm.daemon.storage.disk_rows import DiskRecord
from gaovm.errors import suggestions
from gaovm.hostfacts import programs
from gaovm.project import sizes
from gaovm.spec import disks as spec

logger = logging.getLogger(__name__)

TOOL, TOOL_LIMIT_S = "qemu-img", 300.0
#: Files on a server that does not answer hold a thread each.
_copies = threads.Detached("disk-copy", 4)


class Disks:
    """Every named disk by its name. Reads look at ``records`` and never wait."""

    def __init__(self, where: paths.Paths, database: store.Store) -> None:
        self._paths, self._store = where, database
        self.records: dict[str, DiskRecord] = {
            record.name: record for record in database.look(disk_rows.load)
        }
        #: A lock lives as long as somebody holds it or waits for it.
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def directory(self, name: str) -> Path:
        """Return the directory of a disk's files."""
        return self._paths.disks / name

    def find(self, name: str) -> DiskRecord:
        """Return a disk that is whole.

        Raises:
            errors.NotFound: there is no such disk; the remedy suggests a similar name.
        """
        record = self.records.get(name)
        if record is None or record.state != "ready":
            meant = suggestions.did_you_mean(name, self.records)
            actions = () if meant else (errors.Action("list_disks"),)
            raise errors.NotFound(f"there is no disk {name!r}", remedy=meant, actions=actions)
        return record

    async def create(self, name: str, kind: spec.DiskFormat, size_bytes: int) -> DiskRecord:
        """Make an empty disk; it takes space as the guest writes.

        Raises:
            errors.InvalidParams: the name or the size is not possible.
            errors.StateConflict: there is a disk of that name.
            errors.DiskFull, errors.HostError: it cannot be written.
        """
        size = -(-size_bytes // disk_files.SECTOR_BYTES) * disk_files.SECTOR_BYTES
        async with self._turn(name):
            await self._check_new(name, size)
            try:
                record = await self._begin(name, kind, size)
                await asyncio.to_thread(_make, self.directory(name), kind, size)
            except BaseException:
                await self._undo(name)
                raise
            return await self._keep(record)

    async def bring(self, name: str, source: Path) -> DiskRecord:
        """Make a disk from a copy of a raw or qcow2 file.

        Raises:
            errors.InvalidParams, errors.StateConflict, errors.DiskFull: as ``create``.
            errors.NotFound, errors.ConfigError: the file is missing, or no disk GaoVM may use.
        """
        async with self._turn(name):
            await self._check_new(name, spec.SMALLEST_BYTES)
            try:
                record = await self._begin(name, "raw", spec.SMALLEST_BYTES)
                # Here, so that a copy which was withdrawn and goes on finds its directory gone.
                await asyncio.to_thread(disk_files.make_directory, self.directory(name))
                # the file may lie on a server that does not answer
                found = await _copies.run(disk_files.bring, source, self.directory(name))
            except BaseException:
                await self._undo(name)
                raise
            return await self._keep(
                msgspec.structs.replace(record, format=found.format, size_bytes=found.size_bytes)
            )

    async def resize(self, name: str, size_bytes: int) -> DiskRecord:
        """Make a disk larger; its file system grows when a VM next starts with it.

        Raises:
            errors.NotFound, errors.DiskInUse: there is no such disk, or a VM uses it.
            errors.DiskShrink: the disk is larger.
            errors.ProgramMissing, errors.HostError: a file made by another program cannot grow.
        """
        size = -(-size_bytes // disk_files.SECTOR_BYTES) * disk_files.SECTOR_BYTES
        async with self._turn(name):
            before = self.find(name)
            _check_size(size)
            if size < before.size_bytes:
                shown, now = sizes.show(size), sizes.show(before.size_bytes)
                raise errors.DiskShrink(
                    f"disk {name} may only grow: specified size `{shown}` is less than the current "
                    f"disk size `{now}`; shrinking is currently unavailable",
                    remedy="give a larger size",
                )
            with self._locked(name):
                after = msgspec.structs.replace(before, size_bytes=size)
                await self._put(after)
                try:
                    await self._grow(after)
                except errors.GaoError:
                    await self._put(before)
                    raise
                return after

    async def remove(self, name: str) -> int:
        """Remove a disk and all that is on it; return the bytes that became free.

        Raises:
            errors.NotFound, errors.DiskInUse: there is no such disk, or a VM uses it.
        """
        async with self._turn(name):
            record = self.find(name)
            with self._locked(name):
                await self._put(msgspec.structs.replace(record, state="removing"))
                return await self._finish_removal(name)

    # what a crash left

    async def recover(self) -> None:
        """Finish or undo what was begun, and take up disks whose rows were lost."""
        for name in sorted({*self.records, *self._strangers()}):
            async with self._turn(name):
                try:
                    await self._recover_one(name)
                except errors.GaoError as exc:
                    logger.error("disk %s: %s", name, exc)

    def _strangers(self) -> list[str]:
        entries = self._paths.disks.iterdir() if self._paths.disks.is_dir() else ()
        return [entry.name for entry in entries if spec.is_disk_name(entry.name)]

    @steps.step
    async def _recover_one(self, name: str) -> None:
        record = self.records.get(name)
        if record is None:
            found = await asyncio.to_thread(disk_files.find, self.directory(name))
            if found is not None:  # a file gets its name when it is whole, and goes before its row
                logger.warning("disk %s had no row; it is taken up again", name)
                now = timestamps.now()
                await self._put(DiskRecord(name=name, created_at=now, **found._asdict()))
        elif record.state != "ready":
            await self._finish_removal(name)
        else:
            await self._finish_growth(record)

    async def _finish_growth(self, record: DiskRecord) -> None:
        found = await asyncio.to_thread(disk_files.find, self.directory(record.name))
        if found is None or found.size_bytes == record.size_bytes:
            return
        if found.size_bytes > record.size_bytes:  # the row comes from an older copy
            await self._put(msgspec.structs.replace(record, size_bytes=found.size_bytes))
            return
        with self._locked(record.name):
            await self._grow(record)

    # the steps

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        turn = self._turns.get(name) or asyncio.Lock()
        self._turns[name] = turn
        async with turn:
            yield

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = files.Lock(self.directory(name) / disk_files.LOCK)
        if not self.directory(name).is_dir():  # somebody removed it by hand
            yield
            return
        if not lock.acquire():
            raise in_use(name, lock.holder())
        try:
            yield
        finally:
            lock.release()

    async def _check_new(self, name: str, size_bytes: int) -> None:
        if not spec.is_disk_name(name):
            raise errors.InvalidParams(
                f"{name!r} is no name for a disk",
                field="name",
                remedy="use letters and digits, with single . _ - between them, at most 76",
            )
        _check_size(size_bytes)
        if name in self.records:
            raise errors.StateConflict(
                f"there is a disk {name} already", actions=(errors.Action("list_disks"),)
            )
        if await asyncio.to_thread(disk_files.find, self.directory(name)) is not None:
            raise errors.StateConflict(f"{self.directory(name)} holds a disk that has no row yet")

    @steps.step
    async def _begin(self, name: str, kind: spec.DiskFormat, size_bytes: int) -> DiskRecord:
        record = DiskRecord(
            name=name,
            format=kind,
            size_bytes=size_bytes,
            created_at=timestamps.now(),
            state="making",
        )
        await self._put(record)
        return record

    @steps.step
    async def _keep(self, record: DiskRecord) -> DiskRecord:
        whole = msgspec.structs.replace(record, state="ready")
        await self._put(whole)
        return whole

    async def _undo(self, name: str) -> None:
        try:
            await asyncio.shield(self._finish_removal(name))
        except errors.GaoError as exc:  # the next daemon removes what is left
            logger.error("disk %s: what was begun stays for now: %s", name, exc)
            self.records.pop(name, None)

    @steps.step
    async def _finish_removal(self, name: str) -> int:
        freed = await asyncio.to_thread(disk_files.remove, self.directory(name))
        await self._store.write(lambda connection: connection.execute(disk_rows.DELETE, (name,)))
        self.records.pop(name, None)
        return freed

    async def _grow(self, record: DiskRecord) -> None:
        directory, kind, size = self.directory(record.name), record.format, record.size_bytes
        try:
            room = await asyncio.to_thread(disk_files.room, directory, kind)
        except OSError as exc:
            raise files.errors_of(exc, f"cannot read disk {record.name}") from exc
        if size <= room:
            await asyncio.to_thread(disk_files.grow, directory, kind, size)
        else:
            await _grow_by_program(disk_files.path(directory, kind), size)

    async def _put(self, record: DiskRecord) -> None:
        values, before = disk_rows.encode(record), self.records.get(record.name)
        self.records[record.name] = record
        try:
            await self._store.write(lambda connection: connection.execute(disk_rows.PUT, values))
        except errors.GaoError:  # it is not on disk, so it is not so
            if before is not None:
                self.records[record.name] = before
            raise


@steps.step
def _make(directory: Path, kind: spec.DiskFormat, size_bytes: int) -> None:
    disk_files.make(directory, kind, size_bytes)


@steps.step
async def _grow_by_program(there: Path, size_bytes: int) -> None:
    """Grow a qcow2 file of another program, whose first table is too short."""
    tool = programs.find(TOOL)
    if tool is None:
        raise packages.missing(TOOL)
    argv = [tool, "resize", "-q", "-f", "qcow2", str(there), str(size_bytes)]
    done = await commands.run(argv, timeout_s=TOOL_LIMIT_S)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-1000:]
        raise errors.HostError(f"qemu-img cannot grow {there}: {words}")


def _check_size(size_bytes: int) -> None:
    if not spec.SMALLEST_BYTES <= size_bytes <= spec.LARGEST_BYTES:
        raise errors.InvalidParams(
            f"a disk has 1 MiB to 64 TiB, not {size_bytes} bytes", field="size_bytes"
        )


def in_use(name: str, pid: int | None, vm: str | None = None) -> errors.DiskInUse:
    """Return the error for a disk whose lock somebody holds: the VM, where its name is known."""
    who = f"VM {vm}" if vm else f"process {pid}" if pid else "another process"
    return errors.DiskInUse(
        f"disk {name} is in use by {who}",
        remedy=None if vm else "stop the VM that uses it",
        actions=(errors.Action("stop_vm", name=vm),) if vm else (errors.Action("list_disks"),),
        details={"disk": name, "vm": vm, "pid": pid},
    )
