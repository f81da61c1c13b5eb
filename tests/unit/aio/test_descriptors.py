"""What still works in a process that has no file descriptors left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gaovm import errors
from gaovm.aio import commands, descriptors, process
from gaovm.platform import processes


@contextlib.contextmanager
def no_more() -> Iterator[None]:
    """Let this process open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as made:
        yield made
        made.kill()


def test_a_process_that_cannot_be_inspected_counts_as_alive(child: subprocess.Popen[bytes]) -> None:
    pid, start_time = processes.identity(child.pid)
    with no_more():
        assert processes.alive(pid, start_time)
        assert processes.exit_status(pid, start_time) is None
        with pytest.raises(errors.HostError, match="cannot be inspected"):
            processes.identity(pid)
    child.kill()
    child.wait()
    assert not processes.alive(pid, start_time)
    with pytest.raises(errors.NotFound):
        processes.identity(pid)


async def test_waiting_for_a_process_works_without_a_descriptor(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_NO_DESCRIPTOR_S", 0.01)
    with no_more():
        waiting = asyncio.ensure_future(process.wait_pid(child.pid))
        await asyncio.sleep(0.1)
    assert not waiting.done()
    child.kill()
    await asyncio.wait_for(waiting, 60)


async def test_a_program_gets_the_original_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(descriptors, "_inherited", None)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        descriptors.raise_limit()
        assert descriptors.limit() == hard
        code = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
        done = await commands.run([sys.executable, "-c", code])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert done.stdout.split() == [b"300", str(hard).encode()]


def test_scarce_descriptors_are_detected() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, hard))
        assert not descriptors.scarce(2)
        assert descriptors.scarce(3)
        with no_more():
            assert descriptors.scarce(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
