"""Append events of 200 bytes durably, for 1,000 subscribers in 4 processes that check every seq.

One process has the daemon's store, log, delivery and server. An append counts when its commit has
returned. The appender keeps a limited number under way. It waits when the slowest subscriber has
reached half of the backlog at which it would be cut off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from bench import measure

from gaovm.aio import sockets
from gaovm.daemon.dispatch import subscriptions
from gaovm.daemon.storage import events, store
from gaovm.ipc import blocking, connection, hello, methods, peer, server
from gaovm.wire import anyjson

PROCESSES = 4
UNDER_WAY = 256
TERMS = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))


class Reader:
    """One subscriber: cuts frames and checks that numbers grow by one."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.link = blocking.BlockingConnection(self.sock, TERMS)
        self.last = self.link.call("events.subscribe", {})["seq"]
        self.sock.setblocking(False)
        self.rest = b""
        self.count = self.bytes = 0

    def read(self) -> None:
        data = self.rest + self.sock.recv(1 << 18)
        at, end = 0, len(data)
        while end - at >= 4:
            size = int.from_bytes(data[at : at + 4], "big")
            if end - at - 4 < size:
                break
            begin = data.index(b'"seq":', at) + 6
            seq = int(data[begin : data.index(b",", begin)])
            if seq != self.last + 1:
                raise SystemExit(f"event {seq} came after {self.last}")
            self.last = seq
            self.count += 1
            self.bytes += size
            at += 4 + size
        self.rest = data[at:]


def client(path: str, count: int, last: int) -> None:
    """Run ``count`` subscribers until each has seen number ``last``; print what they saw."""
    raise_limit()
    watched = selectors.DefaultSelector()
    for _ in range(count):
        reader = Reader(path)
        watched.register(reader.sock, selectors.EVENT_READ, reader)
    print("ready", flush=True)
    readers = [key.data for key in watched.get_map().values()]
    waiting = len(readers)
    while waiting:
        for key, _ in watched.select():
            key.data.read()
            if key.data.last >= last:
                watched.unregister(key.fileobj)
                waiting -= 1
    seen = sum(reader.count for reader in readers)
    size = sum(reader.bytes for reader in readers)
    print(json.dumps({"seen": seen, "bytes": size}), flush=True)


def raise_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


class Bench:
    """The daemon's side."""

    def __init__(self, directory: Path) -> None:
        self.database = store.open_store(directory / "state.db")
        self.log = events.Events(self.database)
        self.cut_off = 0
        self.feed = subscriptions.Subscriptions(self.log, msgspec.structs.asdict, self.on_slow)
        self.path = directory / "s"

    def on_slow(self, client: connection.Connection, failure: Exception) -> None:
        self.cut_off += 1
        client.close()

    async def handle(self, method: str, params: anyjson.Object, call: connection.Request) -> Any:
        self.feed.subscribe(call.connection)
        return {"ok": True, "seq": self.log.last}

    async def append(self, count: int) -> None:
        filler = "x" * 100  # with number, type, VM and time: 200 bytes
        under_way: deque[asyncio.Future[events.Event]] = deque()
        for _ in range(count):
            under_way.append(self.log.emit("bench.event", "web-dev", {"x": filler}))
            if len(under_way) >= UNDER_WAY:
                await under_way.popleft()
                while self.behind() > subscriptions.KEPT_EVENTS // 2:
                    await asyncio.sleep(0.001)
        await asyncio.gather(*under_way)

    def behind(self) -> int:
        return self.log.last - min(self.feed.cursors().values(), default=self.log.last)

    async def run(self, subscribers: int, count: int) -> dict[str, Any]:
        listener = sockets.bind_unix(self.path)
        service = connection.Service(TERMS, self.handle)
        serving = await server.serve_unix(listener, [service], name="bench")
        words = ["--client", str(self.path), str(subscribers // PROCESSES), str(count)]
        clients = [
            subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE)
            for _ in range(PROCESSES)
        ]
        for each in clients:
            line = await asyncio.to_thread(each.stdout.readline)  # type: ignore[union-attr]
            assert line == b"ready\n", line
        begin = time.perf_counter()
        await self.append(count)
        appended = time.perf_counter() - begin
        lines = [await asyncio.to_thread(c.stdout.readline) for c in clients]  # type: ignore[union-attr]
        took = time.perf_counter() - begin
        found = [json.loads(line) for line in lines]
        for each in clients:
            each.wait()
        await serving.aclose()
        self.database.close()
        seen = sum(each["seen"] for each in found)
        return {
            "subscribers": subscribers,
            "events": count,
            "event_bytes": round(sum(each["bytes"] for each in found) / max(seen, 1)),
            "deliveries": seen,
            "lost": subscribers * count - seen,
            "cut_off": self.cut_off,
            "seconds": round(took, 3),
            "deliveries_per_s": round(seen / took),
            "appends_per_s": round(count / appended),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        client(args.client[0], int(args.client[1]), int(args.client[2]))
        return
    raise_limit()
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="gb") as made:
            result = asyncio.run(Bench(Path(made)).run(args.subscribers, args.events))
        measure.report(
            "durable events to subscribers that check every seq",
            "python bench/events.py",
            **result,
            goal=">= 100,000 deliveries/s, none lost",
        )


if __name__ == "__main__":
    main()
