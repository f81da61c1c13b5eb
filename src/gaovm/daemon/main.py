"""The daemon's process: one per ``$GAOVM_HOME``, from the lock to a graceful end.

    gaovmd [--ready-fd N] [--foreground]

``--ready-fd``: ``ready`` and a line feed are written there once the socket listens.
``--foreground``: the log also goes to stderr. Two more are for daemons only: ``--take-over N``
goes on with what another code in this process left in descriptor N (``takeover``), and
``--check-upgrade`` says whether this code could (``preflight``).

Exit status: 0 asked to end, 1 failed, 2 usage, 75 another daemon of this home is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from concurrent import futures

from gaovm import errors
from gaovm.aio import descriptors, files, stalls, tasks, threads
from gaovm.aio import logs as log_levels
from gaovm.daemon import handover, logs, paths, process
from gaovm.daemon.storage import store
from gaovm.daemon.upgrading import preflight
from gaovm.platform import priority

logger = logging.getLogger(__name__)

ALREADY_RUNNING = 75


class Options:
    """The command line."""

    def __init__(self, words: list[str]) -> None:
        self.foreground = False
        self.ready_fd: int | None = None
        self.take_over: int | None = None
        rest = iter(words)
        for word in rest:
            if word == "--foreground":
                self.foreground = True
            elif word == "--ready-fd" and (number := next(rest, "")).isdecimal():
                self.ready_fd = int(number)
            elif word == handover.FLAG and (number := next(rest, "")).isdecimal():
                self.take_over = int(number)
            else:
                raise errors.UsageError(
                    f"unknown argument {word}", remedy="gaovmd [--ready-fd N] [--foreground]"
                )


#: How long a thread that reads a stranger's file may keep the loop from going on, in seconds.
_SWITCH_S = 0.001


def _run_loop(where: paths.Paths, database: store.Store, origin: process.Origin) -> None:
    sys.setswitchinterval(_SWITCH_S)
    with stalls.Watch() as watch, asyncio.Runner(loop_factory=watch.new_loop) as runner:
        runner.run(_main(where, database, origin, watch))


async def _main(
    where: paths.Paths, database: store.Store, origin: process.Origin, watch: stalls.Watch
) -> None:
    pool = futures.ThreadPoolExecutor(
        thread_name_prefix="daemon", initializer=threads.leave_signals
    )
    asyncio.get_running_loop().set_default_executor(pool)
    with priority.first():
        async with tasks.TaskOwner("gaovmd") as owner:
            await process.DaemonProcess(where, database, owner, origin, watch).run()


def _origin(options: Options, lock: files.Lock) -> process.Origin:
    given: handover.Handover | None = None
    if options.take_over is None:
        lock.acquire()
    else:
        given = handover.read(options.take_over)
        lock.adopt(given.lock)
        descriptors.raise_limit(given.open_files)
        log_levels.set_level(given.log_level or log_levels.level())
    return process.Origin(lock, options.foreground, options.ready_fd, given)


def run(words: list[str]) -> int:
    """Run the daemon from start to end; return its exit status."""
    os.umask(0o077)
    logging.basicConfig(handlers=[logging.NullHandler()])  # until there is a file to log to
    if words == [preflight.FLAG]:
        return preflight.run()
    try:
        options = Options(words)
        descriptors.raise_limit()
        where = paths.from_environment()
        where.make()
        logs.set_up(where.log, foreground=options.foreground)
        origin = _origin(options, files.Lock(where.lock))
        if not origin.lock.held:
            holder = origin.lock.holder()
            sys.stderr.write(f"gaovmd: already running, pid {holder} ({where.home})\n")
            return ALREADY_RUNNING
        os.chdir("/")
        with priority.realtime(), contextlib.closing(store.open_store(where.database)) as database:
            _run_loop(where, database, origin)
    except errors.GaoError as exc:
        logger.error("%s", exc)
        remedy = f"\n  {exc.advice}" if exc.advice else ""
        sys.stderr.write(f"gaovmd: {exc}{remedy}\n")
        return exc.exit_code
    except OSError as exc:
        logger.error("the daemon failed: %s", exc)
        where_ = f": {exc.filename}" if exc.filename else ""
        sys.stderr.write(f"gaovmd: {exc.strerror or exc}{where_}\n")
        return 1
    except Exception as exc:
        logger.exception("the daemon failed")
        sys.stderr.write(f"gaovmd: internal error: {exc!r}\n")
        return 1
    finally:
        logs.tear_down()
    logger.info("ended")
    return 0


def entry() -> None:
    """Run as a program."""
    raise SystemExit(run(sys.argv[1:]))
