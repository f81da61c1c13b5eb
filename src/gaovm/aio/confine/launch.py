"""Starts a program as the first process of a new PID namespace, and still as a child of this one.

``unshare`` would need the way back, which a plain user's process is not allowed to go; so this is
``fork`` with flags: clone(2), with what Python does around every fork of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from gaovm import errors
from gaovm.aio.confine import calls

_CLONE = {"x86_64": 56, "aarch64": 220}
_SAID_BYTES = 4096
# With the interpreter's lock held: nothing else may run between the call and its aftermath.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    output: int,
    pass_fds: Sequence[int],
    before_exec: Callable[[], None],
    new_pids: bool,
) -> int:
    """The pid of a child that executes ``argv``; the caller reaps it.

    It has no stdin, ``output`` as stdout and stderr, and ``pass_fds`` under their numbers.
    ``before_exec`` runs in it. When this returns, the program runs.

    Raises:
        errors.ProgramMissing: there is no such program.
        errors.HostError: ``before_exec`` or the start failed; the message says where.
    """
    reading, writing = os.pipe()
    try:
        pid = _fork(calls.NEWPID if new_pids else 0)
        if pid == 0:
            _become(argv, env, output, pass_fds, before_exec, writing)
    except OSError as exc:
        os.close(reading)
        raise errors.HostError(f"cannot start {argv[0]}: {exc.strerror}") from exc
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(_SAID_BYTES).decode("utf-8", "replace")
    if said:
        os.waitpid(pid, 0)
        raise _error(argv[0], said)
    return pid


def _error(program: str, said: str) -> errors.GaoError:
    where, _, why = said.partition(":")
    if where == "missing":
        return errors.ProgramMissing(f"{program} is not installed")
    doing = "confine" if where == "confine" else "start"
    return errors.HostError(f"cannot {doing} {program}: {why}", remedy="see `gaovm doctor`")


def _fork(flags: int) -> int:
    number = _CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"unknown machine {os.uname().machine}")
    api = ctypes.pythonapi
    api.PyOS_BeforeFork()
    pid: int = _libc.syscall(
        ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None
    )
    error = ctypes.get_errno()
    if pid == 0:
        api.PyOS_AfterFork_Child()
    else:
        api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"clone: {os.strerror(error)}")
    return pid


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    output: int,
    pass_fds: Sequence[int],
    before_exec: Callable[[], None],
    report: int,
) -> NoReturn:
    where = "start"
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for source, target in ((null, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        for fd in pass_fds:
            os.set_inheritable(fd, True)
        where = "confine"
        before_exec()
        where = "start"
        _close_all_but(sorted({0, 1, 2, report, *pass_fds}))
        os.execve(argv[0], list(argv), dict(env))
    except FileNotFoundError as exc:
        where = "missing" if where == "start" else where
        _tell(report, where, exc)
    except BaseException as exc:
        _tell(report, where, exc)
    finally:
        os._exit(255)


def _tell(report: int, where: str, exc: BaseException) -> None:
    why = exc.strerror if isinstance(exc, OSError) else repr(exc)
    with contextlib.suppress(OSError):
        os.write(report, f"{where}:{why}".encode()[:_SAID_BYTES])


def _close_all_but(kept: list[int]) -> None:
    for before, after in zip(kept, [*kept[1:], 1 << 20], strict=True):
        os.closerange(before + 1, after)
