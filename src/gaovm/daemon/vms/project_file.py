"""Turn the parameters of ``vm.up`` into a wanted VM: read the project file for this host."""

from __future__ import annotations

import asyncio
import os
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gaovm import errors
from gaovm.aio import clock, threads
from gaovm.daemon import paths
from gaovm.daemon.vms import lookups
from gaovm.platform import priority
from gaovm.spec import vm
from gaovm.spec.boot import Arch
from gaovm.wire.control import vms

if TYPE_CHECKING:
    from gaovm.hostfacts import sources
    from gaovm.project import config


class Placed(vms.ProjectFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request after the look-up of its directory; ``usual_name``: used if nobody names the VM."""

    usual_name: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A project's VM as its file asks for it, and what to tell the user about the file.

    ``asked_at``: when reading began (monotonic clock), right after the request was decoded.
    ``outside``: files outside the project that the file embeds.
    """

    spec: vm.VmSpec
    project: str
    config_path: str
    warnings: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    asked_at: float | None = None


async def load(args: vms.ProjectFile, where: paths.Paths) -> Wanted:
    """Read the config file that the client sent; the loop goes on meanwhile.

    One thread reads one file at a time, so a client that sends many waits for its own.

    Raises:
        errors.ConfigError: with every problem, its line and its path.
        errors.UsageError: the name is not one, or the project directory is not absolute.
        errors.ImageUnknown: the image is a name that nothing here can build.
        errors.MountMissing: a mount's directory does not exist on this host.
        errors.MountRefused: it is GaoVM's own.
    """
    asked_at = clock.monotonic()
    loop = asyncio.get_running_loop()
    files = await loop.run_in_executor(_reader, _files, args, where)
    loaded = await _read_all(args, where, files)
    # Not in the reader's thread: a dead file system would block it.
    await lookups.run(_check, loaded, where.home)
    return Wanted(
        spec=loaded.spec,
        project=os.path.normpath(args.project_dir),
        config_path=args.config_path,
        warnings=loaded.warnings,
        outside=tuple(files.outside),
        asked_at=asked_at,
    )


async def _read_all(
    args: vms.ProjectFile, where: paths.Paths, files: sources.Gathered
) -> config.Loaded:
    """Read the text, and again with each file that it turns out to name.

    The files are fetched by another thread than the reader: one may lie on a file system that is
    gone.
    """
    loop = asyncio.get_running_loop()
    while True:
        loaded = await loop.run_in_executor(_reader, _read, args, where, files)
        if loaded is not None:
            return loaded
        await lookups.run(files.fetch)


def _begin_reader() -> None:
    """Prepare the reader's thread to run beside the loop."""
    threads.leave_signals()
    # a busy machine must not pause this thread while the loop waits for Python's lock
    priority.nice()


#: One thread: libyaml stops after 20,000 values, and what it made of them takes 0.1 s at most.
_reader = futures.ThreadPoolExecutor(
    max_workers=1, thread_name_prefix="config reader", initializer=_begin_reader
)


def _files(args: vms.ProjectFile, where: paths.Paths) -> sources.Gathered:
    # The YAML reader is loaded at the first up, not at the daemon's start.
    from gaovm.hostfacts import sources

    return sources.Gathered(sources.Files(where.home, args.project_dir))


def _read(
    args: vms.ProjectFile, where: paths.Paths, files: sources.Gathered
) -> config.Loaded | None:
    """Read the file; None: it names files that are to be fetched first."""
    from gaovm.platform import timezones
    from gaovm.project import config, names
    from gaovm.project import context as project_context
    from gaovm.project.lima import embedding

    if not args.project_dir.startswith("/"):
        raise errors.UsageError(f"{args.project_dir!r} is not an absolute path")
    usual = args.usual_name if isinstance(args, Placed) else None
    given = bool(args.name or args.env_name)
    name = names.vm_name(args.name, args.env_name or usual, args.project_dir)
    user = args.user
    caller = project_context.Caller(
        name=user.name,
        uid=user.uid,
        gid=user.gid,
        home=user.home or str(Path.home()),
        comment=user.comment,
        proxies=user.proxies,
    )
    host = project_context.Host(
        arch=_arch(), vm_dir=str(where.vm_dir(name)), timezone=timezones.of_host()
    )
    try:
        return config.load(
            args.config_text,
            args.config_path,
            caller,
            args.project_dir,
            name,
            host,
            given=given,
            resolver=files,
            trees=files.trees,
        )
    except embedding.Incomplete:
        return None


def _check(loaded: config.Loaded, home: Path) -> None:
    from gaovm.hostfacts import admission

    admission.check(loaded, home)


def _arch() -> Arch:
    machine = os.uname().machine
    return "aarch64" if machine in ("aarch64", "arm64") else "x86_64"
