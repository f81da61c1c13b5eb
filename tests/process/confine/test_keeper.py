"""A process that dropped its rights: what it cannot do, and what the keeper still starts for it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import keeping
from gaovm.platform.confine import calls, keeper, landlock, shed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="who is not root has little to drop")


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gaovm-keeper.", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


def elsewhere(act: Callable[[], Any]) -> Any:
    """Return a function's result (JSON) from a separate process, as dropping is for good."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, json.dumps(act()).encode())
        except BaseException as exc:
            os.write(writing, json.dumps(repr(exc)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return said


def attempt(act: Callable[[], Any]) -> str:
    try:
        act()
    except OSError as exc:
        return os.strerror(exc.errno or 0)
    return "ok"


def test_what_a_driver_has_left(base: Path) -> None:
    own, other = base / "own", base / "other"
    own.mkdir()
    other.write_text("secret")
    listener = socket.socket(socket.AF_UNIX)  # like the daemon's: this user's, at a path
    listener.bind(str(base / "control.sock"))
    listener.listen()

    def act() -> dict[str, str]:
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            os.setresuid(54321, 54321, 54321)
            calls.die_with_parent(signal.SIGKILL)
            theirs.send(b"y")
            signal.pause()
        ours.recv(1)  # it is another user's process now
        paths = ((str(own), landlock.WRITE), ("/proc", landlock.READ))
        rules = landlock.Rules(paths, binds=True, scoped=False)
        shed.shed(rules, frozenset({shed.CAP_KILL, shed.CAP_NET_BIND_SERVICE}))

        def listen() -> None:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                sock.listen()

        def connect() -> None:
            with socket.socket() as sock:
                sock.connect(("127.0.0.1", 1))

        def knock() -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(base / "control.sock"))

        def pair() -> None:
            for sock in socket.socketpair():
                sock.close()

        return {
            "knock": attempt(knock),
            "pair": attempt(pair),
            "own": attempt(lambda: (own / "x").write_text("x")),
            "shadow": attempt(lambda: Path("/etc/shadow").read_text()),
            "other": attempt(other.read_text),
            "write": attempt(lambda: (base / "new").write_text("x")),
            "chown": attempt(lambda: os.chown(own / "x", 1, 1)),
            "setuid": attempt(lambda: os.setresuid(1, 1, 1)),
            "listen": attempt(listen),
            "connect": attempt(connect),
            "kill": attempt(lambda: os.kill(child, signal.SIGKILL)),
        }

    said = elsewhere(act)
    listener.close()
    assert said == {
        **dict.fromkeys(("own", "listen", "kill", "pair"), "ok"),
        **dict.fromkeys(("shadow", "other", "write", "connect", "knock"), "Permission denied"),
        **dict.fromkeys(("chown", "setuid"), "Operation not permitted"),
    }


async def _say(kept: keeping.Keeper, name: str) -> tuple[int, str]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with kept.start(name, (), output=theirs.fileno(), grace_s=1) as child:
            assert await child.wait() in (0, 3)
            theirs.close()
            return child.returncode or 0, ours.recv(1000).decode()


def test_a_keeper_starts_what_it_knows_with_its_own_rights(base: Path) -> None:
    script = "head -c4 /etc/shadow >/dev/null && echo read; exit 3"
    recipes = {
        "id": keeper.Recipe(("/bin/sh", "-c", script)),
        "nothing": keeper.Recipe(("/no/such/program",)),
    }

    async def work() -> list[Any]:
        async with keeping.run(recipes) as kept:
            shed.shed(landlock.Rules((), scoped=False), frozenset())
            said = await _say(kept, "id")
            again = await _say(kept, "id")
            refused = []
            for name in ("nothing", "/bin/sh"):
                with pytest.raises(errors.GaoError) as caught:
                    await _say(kept, name)
                refused.append(type(caught.value).__name__)
            return [said, again, refused]

    expected = [[3, "read\n"], [3, "read\n"], ["ProgramMissing", "HostError"]]
    assert elsewhere(lambda: asyncio.run(work())) == expected


def test_a_keeper_connects_for_who_may_not(base: Path) -> None:
    path = base / "net.sock"
    script = "grep -q 'NoNewPrivs:.1' /proc/self/status && echo heard >&$0; echo said; exit 3"
    recipes = {
        "sh": keeper.Recipe(("/bin/sh", "-c", script, keeper.LAST_FD), str(path)),
        "late": keeper.Recipe(("/bin/true",), str(base / "nobody.sock")),
    }

    async def work() -> list[Any]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            async with keeping.run(recipes) as kept:
                shed.shed(landlock.Rules((), scoped=False), frozenset())
                said = await _say(kept, "sh")
                with pytest.raises(errors.HostError, match=r"nobody\.sock: No such file"):
                    await _say(kept, "late")
            heard, _ = listener.accept()
            with heard:
                return [said, heard.recv(100).decode(), heard.recv(100).decode()]

    assert elsewhere(lambda: asyncio.run(work())) == [[3, "said\n"], "heard\n", ""]


def _children() -> list[int]:
    children = Path("/proc/self/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def _names() -> list[str]:
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in _children()]


def test_an_answer_that_comes_too_late_is_no_answer_to_another_question(base: Path) -> None:
    mark = base / "mark"
    recipes = {
        "slow": keeper.Recipe(("/bin/sh", "-c", f"echo $$ > {mark}; exec sleep 600")),
        "id": keeper.Recipe(("/bin/echo", "second")),
    }

    async def work() -> list[Any]:
        async with keeping.run(recipes) as kept:
            [pid] = _children()
            os.kill(pid, signal.SIGSTOP)
            kept._kept._sock.settimeout(0.05)
            with pytest.raises(
                errors.HostError, match="the keeper that starts slow does not answer"
            ):
                await _say(kept, "slow")
            kept._kept._sock.settimeout(20)
            os.kill(pid, signal.SIGCONT)
            said = await _say(kept, "id")
            # the late program may be ended before it writes its pid
            late = mark.read_text().strip() if mark.exists() else ""
            return [said, bool(late) and Path("/proc", late).exists()]

    assert elsewhere(lambda: asyncio.run(work())) == [[0, "second\n"], False]


def test_a_keeper_that_was_forked_ahead_is_the_one_that_runs() -> None:
    async def work() -> list[Any]:
        keeping.fork_ahead()
        async with keeping.run({"id": keeper.Recipe(("/bin/echo", "hello"))}) as kept:
            said = await _say(kept, "id")
            keeping.discard()
            return [said, _names(), await _say(kept, "id")]

    said = [0, "hello\n"]
    assert elsewhere(lambda: asyncio.run(work())) == [said, [keeper.NAME], said]


def test_a_keeper_takes_its_programs_once() -> None:
    async def work() -> list[Any]:
        async with keeping.run({"id": keeper.Recipe(("/bin/echo", "hello"))}) as kept:
            kept._kept.seal({"id": keeper.Recipe(("/bin/echo", "hostile"))})
            return list(await _say(kept, "id"))

    assert elsewhere(lambda: asyncio.run(work())) == [0, "hello\n"]


def test_a_discarded_keeper_is_gone() -> None:
    def act() -> list[int]:
        keeping.fork_ahead()
        keeping.discard()
        keeping.discard()
        return _children()

    assert elsewhere(act) == []


def test_command_lines_beyond_the_limit_are_refused() -> None:
    async def work() -> str:
        with pytest.raises(errors.HostError, match="too long"):
            async with keeping.run({"id": keeper.Recipe(("x" * 70_000,))}):
                pass
        return "refused"

    assert elsewhere(lambda: asyncio.run(work())) == "refused"


def test_a_keeper_ends_with_its_maker() -> None:
    async def work() -> list[int]:
        async with keeping.run({}):
            return _children()

    [pid] = elsewhere(lambda: asyncio.run(work()))
    assert not Path(f"/proc/{pid}").exists()
