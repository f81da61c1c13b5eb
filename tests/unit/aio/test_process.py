"""Running, ending and reaping programs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from gaovm import errors
from gaovm.aio import commands, process
from gaovm.platform import processes

#: Tells programs that this process starts from those of a run beside it.
OWN = os.getpid()
#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60.0


async def test_outputs_are_separate_and_input_arrives() -> None:
    done = await commands.run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"\x00\xffin")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"\x00\xffin", b"err\n")
    assert done.stderr_tail == "err\n"


async def test_a_program_that_ignores_its_input() -> None:
    done = await commands.run(["true"], stdin=b"x" * 1_000_000)
    assert done.returncode == 0


async def test_lines_come_as_they_are_written() -> None:
    lines: list[str] = []
    await commands.run(["printf", r"a\r\nb\nlast"], on_line=lines.append)
    assert lines == ["a", "b", "last"]


async def test_only_the_end_of_long_output_is_kept() -> None:
    done = await commands.run(["sh", "-c", "yes | head -c 100000; echo end"], max_output=1000)
    assert done.truncated
    assert len(done.stdout) == 1000
    assert done.stdout.endswith(b"end\n")


async def test_a_missing_program_and_a_missing_directory() -> None:
    with pytest.raises(errors.ProgramMissing, match="no-such-program"):
        await commands.run(["no-such-program"])
    with pytest.raises(errors.HostError, match="directory"):
        await commands.run(["true"], cwd="/no/such/directory")


async def test_a_time_limit_ends_the_whole_group() -> None:
    start = time.monotonic()
    with pytest.raises(errors.TimeLimit):
        await commands.run(["sh", "-c", f"sleep 61.{OWN} & sleep 60"], timeout_s=0.1)
    assert time.monotonic() - start < 30
    await _gone(f"sleep\x0061.{OWN}")


def _running(command: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline") as file:
                    if file.read().startswith(command):
                        found.append(name)
            except OSError:
                continue
    return found


async def _gone(command: str) -> None:
    """Wait until the command is gone: the kernel may need a moment to act on a signal."""
    async with asyncio.timeout(LIMIT_S):
        while _running(command):
            await asyncio.sleep(0.005)


async def test_processes_left_in_the_group_end_with_the_program() -> None:
    start = time.monotonic()
    done = await commands.run(["sh", "-c", f"sleep 62.{OWN} & exit 4"])
    assert done.returncode == 4
    assert time.monotonic() - start < 30
    await _gone(f"sleep\x0062.{OWN}")


async def test_leaving_the_block_kills_a_child_that_ignores_term_even_if_cancelled_twice() -> None:
    pids: list[int] = []
    script = (
        "import signal,time;signal.signal(15,signal.SIG_IGN);print('up',flush=True);time.sleep(60)"
    )

    async def own() -> None:
        argv = [sys.executable, "-c", script]
        async with process.spawn(argv, stdout=process.PIPE, grace_s=0.3) as child:
            pids.append(child.pid)
            assert child.stdout
            await child.stdout.readline()
            pids.append(0)
            await child.wait()

    task = asyncio.create_task(own())
    async with asyncio.timeout(LIMIT_S):
        while len(pids) < 2:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], os.WNOHANG)


async def test_the_child_dies_with_its_parent() -> None:
    script = (
        "import asyncio, os\n"
        "from gaovm.aio import process\n"
        "async def main():\n"
        "    async with process.spawn(['sleep', '60']) as child:\n"
        "        print(child.pid, flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
        "        await child.wait()\n"
        "asyncio.run(main())\n"
    )
    done = await commands.run([sys.executable, "-c", script])
    assert done.returncode == -signal.SIGKILL
    async with asyncio.timeout(LIMIT_S):
        await process.wait_pid(int(done.stdout))


async def test_identity_tells_processes_apart() -> None:
    pid, start_time = processes.identity(os.getpid())
    assert processes.alive(pid, start_time)
    assert not processes.alive(pid, start_time + processes.START_TOLERANCE + 1)
    async with process.spawn(["sleep", "60"]) as child:
        pid, start_time = processes.identity(child.pid)
        assert processes.alive(pid, start_time)
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
    assert not processes.alive(pid, start_time)
    with pytest.raises(errors.NotFound):
        processes.identity(pid)


@pytest.mark.parametrize(("ending", "status"), [("exit 7", 7), ("kill -9 $$", -9)])
async def test_the_exit_status_is_known_until_the_parent_reaps(ending: str, status: int) -> None:
    child = subprocess.Popen(["sh", "-c", f"read x; {ending}"], stdin=subprocess.PIPE)
    which = processes.identity(child.pid)
    assert processes.exit_status(*which) is None, "the process still runs"
    assert child.stdin is not None
    child.stdin.close()
    await process.wait_pid(child.pid)
    assert processes.exit_status(*which) == status
    assert processes.exit_status(child.pid, which[1] + 60) is None, "this is another process"
    child.wait()
    assert processes.exit_status(*which) is None, "the parent has reaped it"


async def test_descriptors_are_passed_only_when_asked_for() -> None:
    read, write = os.pipe()
    try:
        argv = [sys.executable, "-c", f"import os; os.write({write}, b'x\\n')"]
        done = await commands.run(argv)
        assert done.returncode != 0
        async with process.spawn(argv, pass_fds=[write]) as child:
            assert await child.wait() == 0
        assert os.read(read, 2) == b"x\n"
    finally:
        os.close(read)
        os.close(write)


async def test_waiting_for_a_pid_that_is_gone_returns() -> None:
    await process.wait_pid(2**22 + 1)
