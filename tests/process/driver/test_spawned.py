"""A spawned driver, and a zygote that gets nonsense."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import measuring

from gaovm.ipc.hello import TOKEN_VARIABLE as TOKEN
from gaovm.platform import unix_sockets

COMMAND = [sys.executable, "-m", "gaovm.driver"]
#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60


def test_without_a_token_it_exits_with_a_message() -> None:
    env = {key: value for key, value in os.environ.items() if key != TOKEN}
    env |= measuring.environment()
    done = subprocess.run(
        [*COMMAND, "--control-fd", "0"], capture_output=True, env=env, check=False
    )
    assert done.returncode == 1
    assert TOKEN.encode() in done.stderr


def test_it_says_hello_with_its_token_and_leaves_on_end_of_file() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [*COMMAND, "--control-fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **measuring.environment(), TOKEN: "t0ken"},
            stderr=subprocess.DEVNULL,
        )
    with ours:
        ours.settimeout(LIMIT_S)
        length = int.from_bytes(ours.recv(4), "big")
        message = json.loads(ours.recv(length))
        assert message["method"] == "hello"
        assert message["params"]["protocol"] == "gaovm.driver.v1"
        assert message["params"]["authToken"] == "t0ken"
    assert child.wait(LIMIT_S) == 1  # the handshake did not succeed


def test_a_bad_request_is_answered_and_the_zygote_lives(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [sys.executable, "-m", "gaovm.driver.spawn.zygote", "--fd", str(theirs.fileno())]
    env = {**os.environ, **measuring.environment()}
    child = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env=env)
    theirs.close()
    ours.settimeout(LIMIT_S)

    def answer() -> Any:
        return json.loads(ours.recv(65536))

    with ours:
        assert answer() == {"op": "ready", "pid": child.pid}
        log = str(tmp_path / "no" / "driver.log")
        good = {"op": "fork", "id": 7, "token": "t", "vm": "v", "log": log}
        for data in (b"{", b'{"op":"fork"}', json.dumps(good).encode()):
            ours.send(data)
            assert answer()["op"] == "failed"
        with open(os.devnull) as first:
            unix_sockets.send(ours, json.dumps(good).encode(), [first.fileno()])
        failed = answer()
        assert failed["id"] == 7
        assert "No such file" in failed["message"]
    assert child.wait(LIMIT_S) == 0
