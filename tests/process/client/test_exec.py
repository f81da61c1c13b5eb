"""``session.run_exec`` in a separate process, against a driver that runs real children."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import measuring
from tests.process.cli import fakes

from gaovm import errors
from gaovm.client import async_client, session

SRC = Path(__file__).parents[3] / "src"
SCRIPT = """
import json, sys
from gaovm import errors
from gaovm.client import session
try:
    code = session.run_exec(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
except errors.GaoError as exc:
    print(type(exc).__name__, exc, exc.details, file=sys.stderr)
    code = 125
sys.exit(code)
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[fakes.FakeDriver]:
    fake = fakes.FakeDriver(tmp_path / "driver.sock")
    with fakes.closing(fake):
        yield fake


def argv(driver: fakes.FakeDriver, *words: str, **start: Any) -> list[str]:
    ticket = {"socket": str(driver.path), "ticket": "ab" * 32}
    body = {"argv": words, **start}
    return [sys.executable, "-c", SCRIPT, json.dumps(ticket), json.dumps(body)]


ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(SRC),
    **measuring.environment(),
}


def run(
    driver: fakes.FakeDriver, *words: str, stdin: bytes = b"", **start: Any
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv(driver, *words, **start),
        input=stdin,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )


def test_much_goes_through_in_both_directions(driver: fakes.FakeDriver) -> None:
    data = os.urandom(1 << 20) * 24
    done = run(driver, "cat", stdin=data)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_both_outputs_at_once(driver: fakes.FakeDriver) -> None:
    script = "head -c 3000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait"
    done = run(driver, "sh", "-c", script)
    assert (len(done.stdout), len(done.stderr)) == (3_000_000, 2_000_000)


def test_input_from_a_file_and_output_to_a_file(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\0line\r\n" * 100_000)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        sink.write(b"head\n")
        sink.flush()
        subprocess.run(
            argv(driver, "cat"), stdin=source, stdout=sink, env=ENVIRONMENT, timeout=30, check=True
        )
    assert (tmp_path / "out").read_bytes() == b"head\n" + b"\0line\r\n" * 100_000


def test_a_command_that_does_not_read_its_input(driver: fakes.FakeDriver) -> None:
    assert run(driver, "true", stdin=b"x" * 5_000_000).returncode == 0


def test_a_reader_that_goes_away_ends_it_quietly(driver: fakes.FakeDriver) -> None:
    process = subprocess.Popen(
        argv(driver, "yes"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


def test_a_full_disk_is_an_error(driver: fakes.FakeDriver) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            argv(driver, "echo", "hi"),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=20,
            check=False,
        )
    assert done.returncode == 125
    assert b"cannot write standard output: No space left" in done.stderr


def test_closed_standard_streams(driver: fakes.FakeDriver) -> None:
    words = argv(driver, "sh", "-c", "cat; echo out; exit 7")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *words], env=ENVIRONMENT, timeout=20, check=False
    )
    assert done.returncode == 7


def test_a_slow_reader_holds_the_guest_up_and_the_pipe_keeps_its_flags(
    driver: fakes.FakeDriver,
) -> None:
    read, write = os.pipe()
    script = "head -c 50000000 /dev/zero; echo done >&2"
    process = subprocess.Popen(
        argv(driver, "sh", "-c", script),
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        first = os.read(read, 1)
        assert fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK == 0
        os.close(write)
        assert process.stderr
        os.set_blocking(process.stderr.fileno(), False)
        # 50 MB fit into no buffer on the way
        assert process.stderr.read() is None
        count = len(first)
        while block := os.read(read, 1 << 20):
            count += len(block)
        assert (process.wait(20), count) == (0, 50_000_000)
        assert process.stderr.read() == b"done\n"
    os.close(read)


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_are_forwarded_by_name(driver: fakes.FakeDriver, name: str) -> None:
    script = f"trap 'echo got; exit 3' {name}; echo go; while :; do sleep 0.02; done"
    process = subprocess.Popen(
        argv(driver, "sh", "-c", script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"go\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(20) == 3
        assert process.stdout.read() == b"got\n"


def test_a_signal_that_kills_the_command_shows_in_the_status(driver: fakes.FakeDriver) -> None:
    assert run(driver, "sh", "-c", "kill -KILL $$").returncode == 137


def forwarded(driver: fakes.FakeDriver, count: int) -> None:
    """Wait until this many signals have reached the guest."""
    with driver.signalled:
        assert driver.signalled.wait_for(lambda: len(driver.signals) == count, 60)


def test_a_guest_that_stands_still_is_left_after_three_signals(driver: fakes.FakeDriver) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 60; done"
    with subprocess.Popen(
        argv(driver, "sh", "-c", script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for count in (1, 2):
            process.send_signal(signal.SIGTERM)
            # the kernel makes one of two signals that come before the process runs
            forwarded(driver, count)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == b"gaovm: the guest did not react to three signals: session left\n"


def test_an_ignored_signal_stays_ignored(driver: fakes.FakeDriver) -> None:
    script = "echo go; sleep 0.2; echo end"
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *argv(driver, "sh", "-c", script)]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"go\n"
        process.send_signal(signal.SIGHUP)
        assert (process.wait(20), process.stdout.read()) == (0, b"end\n")


def test_what_the_guest_refuses_and_a_vm_that_goes_away(driver: fakes.FakeDriver) -> None:
    driver.refuse = {"code": "not-found", "message": "no such program"}
    done = run(driver, "x")
    assert done.returncode == 125
    assert b"GuestCallFailed no such program {'agent_code': 'not-found'}" in done.stderr
    driver.refuse, driver.vanish = None, True
    assert b"ConnectionLost the VM went away" in run(driver, "x").stderr
    driver.close()
    assert b"ConnectionLost the VM went away" in run(driver, "x").stderr


async def test_the_async_client_gathers_the_outputs(driver: fakes.FakeDriver) -> None:
    ticket = {"socket": str(driver.path), "ticket": "ab" * 32}

    async def run_it(*words: str, stdin: bytes = b"") -> async_client.Completed:
        sock = session.open_stream(ticket, "exec")
        return await async_client.run_stream(sock, {"argv": words}, stdin)

    data = os.urandom(3_000_000)
    done = await run_it("sh", "-c", "cat; echo e >&2; exit 4", stdin=data)
    assert (done.status, done.stdout, done.stderr) == (4, data, b"e\n")
    assert (await run_it("true", stdin=data)).status == 0
    with pytest.raises(errors.InvalidParams):
        await run_it("\udcff")
    driver.refuse = {"code": "not-found", "message": "no such program"}
    with pytest.raises(errors.GuestCallFailed):
        await run_it("x")
    driver.refuse, driver.vanish = None, True
    with pytest.raises(errors.ConnectionLost):
        await run_it("x")


async def test_cancelling_ends_the_stream(driver: fakes.FakeDriver, tmp_path: Path) -> None:
    ticket = {"socket": str(driver.path), "ticket": "ab" * 32}
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    sock = session.open_stream(ticket, "exec")
    # the fake kills the command when the stream ends; then the pipe ends
    words = {"argv": ["sh", "-c", f"exec >{fifo}; echo up; sleep 60"]}
    task = asyncio.create_task(async_client.run_stream(sock, words, b""))
    with await asyncio.to_thread(open, fifo, "rb") as file:
        assert await asyncio.to_thread(file.readline) == b"up\n"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(file.read) == b""


def test_a_driver_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "TICKET_LIMIT_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute.sock"))
        listener.listen()
        ticket = {"socket": str(tmp_path / "mute.sock"), "ticket": "ab" * 32}
        with pytest.raises(errors.GuestUnavailable, match="did not answer within"):
            session.open_stream(ticket, "exec")
