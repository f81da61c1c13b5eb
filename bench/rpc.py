"""JSON-RPC calls on one connection against ``grpc.aio``: same payload, pipelined, one run.

Both servers echo 200 bytes from a separate process, over a Unix socket, by an ``async`` handler.
Both clients keep the same number of calls under way. gRPC carries the bytes as they are, without
protobuf. Needs grpcio: ``pip install --group bench``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure

from gaovm.aio import sockets
from gaovm.ipc import connection, hello, methods, peer, server
from gaovm.wire import anyjson

PAYLOAD = "x" * 200
PROTOCOL = "bench.v1"
NAMES = (methods.HELLO, methods.PING, methods.CANCEL, "echo")
Call = Callable[[], Awaitable[Any]]


async def pipelined(call: Call, calls: int, window: int) -> float:
    """Return the calls per second, with ``window`` of them under way at any time."""
    left = calls

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(window):
            group.create_task(caller())
    return calls / (time.perf_counter() - begin)


async def serve_ours(path: Path) -> None:
    """Echo by GaoVM's JSON-RPC until killed."""

    async def handle(method: str, params: anyjson.Object, _: connection.Request) -> Any:
        return params

    service = connection.Service(peer.Terms(hello.Offer(PROTOCOL, NAMES)), handle)
    await server.serve_unix(sockets.bind_unix(path), [service], name="bench")
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ours(path: Path, calls: int, window: int) -> float:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    service = connection.Service(peer.Terms(hello.Offer(PROTOCOL, NAMES)), _refuse)
    made = await connection.connect(sock, service, first=True)
    params = {"data": PAYLOAD}
    answer = await made.call("echo", params)
    if answer != params:
        raise SystemExit(f"echo answered {answer}")
    rate = await pipelined(lambda: made.call("echo", params), calls, window)
    await made.aclose()
    return rate


async def _refuse(method: str, params: anyjson.Object, _: connection.Request) -> Any:
    raise NotImplementedError


async def serve_grpc(path: Path) -> None:
    """Echo by ``grpc.aio`` until killed."""
    import grpc

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    made = grpc.aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", handlers),))
    made.add_insecure_port(f"unix:{path}")
    await made.start()
    print("ready", flush=True)
    await made.wait_for_termination()


async def grpc_aio(path: Path, calls: int, window: int) -> float:
    import grpc

    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        echo = channel.unary_unary("/bench/Echo")
        data = PAYLOAD.encode()
        if await echo(data) != data:
            raise SystemExit("echo answered something else")
        return await pipelined(lambda: echo(data), calls, window)


SERVERS = {"ours": serve_ours, "grpc": serve_grpc}
CLIENTS = {"ours": ours, "grpc": grpc_aio}


@contextlib.contextmanager
def serving(side: str, path: Path) -> Any:
    """Run a side's server in a separate process."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve", side, str(path)], stdout=subprocess.PIPE
    )
    try:
        if child.stdout is None or child.stdout.readline() != b"ready\n":
            raise SystemExit(f"the {side} server did not start")
        yield
    finally:
        child.kill()
        child.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        side, path = args.serve
        asyncio.run(SERVERS[side](Path(path)))
        return
    with tempfile.TemporaryDirectory(prefix="rpc") as directory, contextlib.ExitStack() as stack:
        paths = {side: Path(directory, side) for side in SERVERS}
        for side, path in paths.items():
            stack.enter_context(serving(side, path))

        def run(side: str) -> float:
            return asyncio.run(CLIENTS[side](paths[side], args.calls, args.window))

        for side in CLIENTS:  # warm up connections, code and allocators
            asyncio.run(CLIENTS[side](paths[side], args.calls // 10, args.window))
        sides = {side: functools.partial(run, side) for side in CLIENTS}
        values = measure.interleaved(args.runs, **sides)
    measure.report(
        "JSON-RPC calls per second on one connection, pipelined, 200 bytes, against grpc.aio",
        "python bench/rpc.py",
        calls=args.calls,
        under_way=args.window,
        ours=measure.summary(values["ours"], 0),
        grpc_aio=measure.summary(values["grpc"], 0),
        grpcio=metadata.version("grpcio"),
        ratio=measure.ratio(values["ours"], values["grpc"]),
        goal=">= 3",
    )


if __name__ == "__main__":
    main()
