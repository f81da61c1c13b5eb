"""A desired-state write, from call to durable return, beside a bare SQLite commit of the same row.

Both sides take turns, write by write, on one file system, both with WAL and full sync. For figures
through the socket, a client in another process calls a method that writes and then answers.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from bench import measure

from gaovm.aio import sockets
from gaovm.daemon.storage import records, rows, schema, store
from gaovm.ipc import blocking, connection, hello, methods, peer, server
from gaovm.model import states
from gaovm.spec import disks, guest, vm
from gaovm.wire import anyjson

COMMAND = "python bench/store.py"
GOAL = "<= 1.5x bare, or <= bare + 0.3 ms where bare is under 0.6 ms"


def record() -> records.VmRecord:
    """A record of usual size."""
    user = guest.User(name="user", uid=1000, gid=1000, home="/home/user.guest")
    image = disks.Image(location="debian:12", digest="sha256:" + "ab" * 32)
    spec = vm.VmSpec(name="web-dev", image=image, guest=guest.Guest(user=user, hostname="web"))
    return records.VmRecord(
        name="web-dev",
        project="/home/user/src/web",
        config_path="/home/user/src/web/.lima/config.yaml",
        spec=spec,
        run_id="0123abcd",
        created_at="2026-01-01T00:00:00.000Z",
    )


def turned(number: int, before: records.VmRecord) -> records.VmRecord:
    """Return the record with the other desired state."""
    desired = states.Desired.RUNNING if number % 2 else states.Desired.STOPPED
    return msgspec.structs.replace(before, state=states.VmState(desired=desired))


def bare_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    schema.migrate(connection, path)
    return connection


async def writes(directory: Path, count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of our writes and of bare commits, in turns."""
    database = store.open_store(directory / "state.db")
    bare = bare_database(directory / "bare.db")
    one = record()
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(count):
        changed = turned(number, one)
        begin = time.perf_counter()
        await database.put(changed)
        ours.append((time.perf_counter() - begin) * 1e3)
        values = rows.encode(changed)
        begin = time.perf_counter()
        bare.execute(rows.PUT, values)
        theirs.append((time.perf_counter() - begin) * 1e3)
    database.close()
    bare.close()
    return ours, theirs


async def serve(directory: Path) -> None:
    """Run a server whose ``ping`` writes the record and answers when it is on disk."""
    database = store.open_store(directory / "state.db")
    one, number = record(), 0

    async def handle(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        nonlocal number
        number += 1
        await database.put(turned(number, one))
        return {"ok": True}

    terms = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))
    listener = sockets.bind_unix(directory / "s")
    serving = await server.serve_unix(listener, [connection.Service(terms, handle)], name="bench")
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await serving.aclose()
    database.close()


def through_socket(directory: Path, count: int) -> tuple[list[float], list[float]]:
    """Like ``writes``, by calls over a socket."""
    import socket

    child = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin and child.stdout
    child.stdout.readline()
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(directory / "s"))
    terms = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))
    bare = bare_database(directory / "bare2.db")
    values = rows.encode(record())
    ours: list[float] = []
    theirs: list[float] = []
    with blocking.BlockingConnection(sock, terms) as link:
        for _ in range(count):
            ours.append(measure.timed(lambda: link.call("ping", {})) * 1e3)
            theirs.append(measure.timed(lambda: bare.execute(rows.PUT, values)) * 1e3)
    child.stdin.close()
    child.wait()
    bare.close()
    return ours, theirs


def quantile(values: list[float], share: float) -> float:
    return round(sorted(values)[int(len(values) * share)], 3)


def report(figure: str, ours: list[float], theirs: list[float], **more: Any) -> None:
    mid, bare = statistics.median(ours), statistics.median(theirs)
    measure.report(
        figure,
        COMMAND,
        ours_ms={**measure.summary(ours, 3), "p99": quantile(ours, 0.99)},
        bare_ms={**measure.summary(theirs, 3), "p99": quantile(theirs, 0.99)},
        ratio=measure.ratio(ours, theirs),
        above_bare_ms=round(mid - bare, 3),
        **more,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--where", help="a directory on the file system to measure")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(Path(args.serve)))
        return
    with tempfile.TemporaryDirectory(prefix="gb", dir=args.where) as made:
        directory = Path(made)
        ours, theirs = asyncio.run(writes(directory, args.count))
        report("desired-state write, call to durable return", ours, theirs, goal=GOAL)
        ours, theirs = through_socket(directory, args.count)
        report("the same through the socket, from another process", ours, theirs)


if __name__ == "__main__":
    main()
