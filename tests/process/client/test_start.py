"""A client starts the daemon on demand, however many clients come at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.client import async_client, blocking, paths

SRC = Path(__file__).parents[3] / "src"

# replaces the interpreter: called as "python -P -m gaovm.daemon --ready-fd N"
DAEMON = f"""#!{sys.executable}
import asyncio, os, sys, time
sys.path.insert(0, {str(SRC)!r})
from gaovm import errors
from gaovm.aio import files, sockets
from gaovm.client import paths
from gaovm.ipc import connection, hello, methods, peer, server

EVENT = {{"seq": 1, "type": "x", "vm": None, "payload": {{}}, "ts": ""}}
home = os.environ["GAOVM_HOME"]
assert sys.argv[1:4] == ["-P", "-m", "gaovm.daemon"], sys.argv
assert os.getcwd() == "/"
assert os.getsid(0) == os.getpid()
assert os.environ.get("GAOVM_CACHE", "/").startswith("/")
with open(home + "/started", "a") as file:
    file.write(f"{{os.getpid()}}\\n")
if os.path.exists(home + "/broken"):
    sys.exit("it is broken: no database")
lock = files.Lock(os.path.join(home, "gaovmd.lock"))
if not lock.acquire():
    sys.exit(75)
if os.path.exists(home + "/silent"):
    time.sleep(60)

async def handle(method, params, context):
    if method == "daemon.stop":
        asyncio.get_running_loop().call_later(0.05, os._exit, 0)
        return {{"stopping": True}}
    if method == "events.subscribe":
        asyncio.get_running_loop().call_later(
            0.01, context.connection.notify, "event", EVENT
        )
        return {{"ok": True, "seq": 0, "oldest": 1}}
    return {{"pid": os.getpid()}}

async def main():
    terms = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))
    await server.serve_unix(
        sockets.bind_unix(paths.socket(home)), [connection.Service(terms, handle)]
    )
    os.write(int(sys.argv[5]), b"ready\\n")
    os.close(int(sys.argv[5]))
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    program = tmp_path / "python"
    program.write_text(DAEMON)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    directory = tmp_path / "home"
    yield directory
    for pid in started(directory):
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def started(home: Path) -> list[int]:
    path = home / "started"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_client_starts_the_daemon_once(home: Path) -> None:
    with pytest.raises(errors.DaemonUnreachable, match="no daemon listens"):
        blocking.connect(home, start=False)
    assert not home.exists()
    with blocking.connect(home) as client:
        pid = client.call("daemon.status")["pid"]
    with blocking.connect(home, start=False) as client:
        assert client.call("daemon.status")["pid"] == pid
    assert started(home) == [pid]
    assert home.stat().st_mode & 0o777 == 0o700
    assert Path(paths.daemon_log(str(home))).stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_harmless(home: Path) -> None:
    with blocking.connect(home) as client:
        pid = client.call("daemon.status")["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert Path(paths.socket(str(home))).exists()
    with blocking.connect(home) as client:
        assert client.call("daemon.status")["pid"] != pid


def test_many_clients_at_once_share_one_daemon(home: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.executable = sys.argv[2]\n"
        "from gaovm.client import blocking\n"
        "print(blocking.connect(sys.argv[3]).call('daemon.status')['pid'])\n"
    )
    python = os.path.realpath("/proc/self/exe")
    words = [python, "-c", script, str(SRC), sys.executable, str(home)]
    clients = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(4)]
    answers = {client.communicate(timeout=60)[0] for client in clients}
    assert [client.returncode for client in clients] == [0] * 4
    assert len(answers) == 1


def test_a_relative_cache_is_that_of_the_caller(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAOVM_CACHE", "cache")
    with blocking.connect(home) as client:
        pid = client.call("daemon.status")["pid"]
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert f"GAOVM_CACHE={os.getcwd()}/cache".encode() in environment


def test_a_daemon_that_fails_says_why(home: Path) -> None:
    home.mkdir()
    (home / "broken").touch()
    with pytest.raises(errors.DaemonUnreachable, match="it is broken: no database") as caught:
        blocking.connect(home)
    assert "exit status 1" in str(caught.value)
    assert str(paths.daemon_log(str(home))) in str(caught.value.remedy)


def test_a_daemon_that_says_nothing_is_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "START_LIMIT_S", 0.7)
    home.mkdir()
    (home / "silent").touch()
    with pytest.raises(errors.DaemonUnreachable, match="not ready within"):
        blocking.connect(home)


def test_a_daemon_that_listens_and_says_nothing_is_given_up(home: Path) -> None:
    home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(paths.socket(str(home)))
        listener.listen()
        with pytest.raises(errors.DaemonUnreachable, match="does not answer"):
            blocking.connect(home, start=False, limit_s=0.05)


def test_a_lock_that_nobody_serves_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gaovm.aio import files

    begin = blocking._start_daemon

    def start(home: str, deadline: float, *, taken: bool) -> bool:
        # time is up after the first answer, however long that took
        return begin(home, 0.0 if taken else deadline, taken=taken)

    monkeypatch.setattr(blocking, "_start_daemon", start)
    home.mkdir()
    lock = files.Lock(home / "gaovmd.lock")
    assert lock.acquire()
    with pytest.raises(errors.DaemonUnreachable, match="holds the lock"):
        blocking.connect(home)
    lock.release()


def test_waiting_for_the_end(home: Path) -> None:
    with blocking.connect(home) as client:
        assert client.call("daemon.stop") == {"stopping": True}
        client.wait_closed(10)


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.HostError, match="file is not a directory"):
        blocking.connect(tmp_path / "file" / "home")
    with pytest.raises(errors.DaemonUnreachable, match="107 bytes"):
        blocking.connect(tmp_path / ("x" * 100))


async def test_the_async_client_calls_and_gets_events(home: Path) -> None:
    async with await async_client.connect(home) as client:
        assert (await client.call("daemon.status"))["pid"] == started(home)[0]
        with await client.subscribe() as events:
            assert (await anext(events)).seq == 1
            await client.aclose()
            assert [event async for event in events] == []
        with pytest.raises(errors.ConnectionLost):
            await client.call("ping")
