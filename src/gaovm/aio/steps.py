"""Steps of a transition, and the points at which a process may die between them.

Mark a function that is one step of something larger (a start, a stop, a change of config) with
``@step``. Each step has two points, ``MODULE.FUNCTION:begin`` and ``:end``. Tests halt a process
exactly there and kill whichever process they like. The list of points comes from the list of
steps, so a test cannot forget a step.

A process reads its environment once, when it starts. ``GAOVM_HALT_AT`` is a point,
``GAOVM_HALT_SOCKET`` a Unix socket: when the process first reaches the point, it sends
``{"pid", "point"}`` and a line feed there. Then the whole process stops until a byte or the end
of the connection comes back. ``GAOVM_HALT_AT=@FILE`` names a file instead. The process reads it at
every point; it holds a point, ``*`` for all of them, or nothing. This tells processes that run
already, and those they start, where to stop. ``GAOVM_STEP_LOG`` is a file to which the process
appends every point it reaches. Without these variables a step costs one comparison.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

#: The names of all steps in the loaded modules.
STEPS: set[str] = set()

_PREFIX = "gaovm."


class _Halt:
    """Where this process stops: once, or as a file says at that moment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.log = environment.get("GAOVM_STEP_LOG")
        self.point = environment.get("GAOVM_HALT_AT")
        self.socket = environment.get("GAOVM_HALT_SOCKET")
        self.armed = bool(self.log or self.point)

    def reach(self, point: str) -> None:
        if self.log:
            fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(fd, f"{point}\n".encode())
            os.close(fd)
        if self.socket is None or self.point is None:
            return
        if self.point.startswith("@"):
            if _content(self.point[1:]) in (point, "*"):
                _stand_still(self.socket, point)
        elif point == self.point:
            self.point = None
            _stand_still(self.socket, point)


@contextlib.contextmanager
def rehearsal() -> Iterator[None]:
    """Steps inside the block are no transition: nothing stops and nothing is noted."""
    armed, _halt.armed = _halt.armed, False
    try:
        yield
    finally:
        _halt.armed = armed


def armed() -> bool:
    """Whether a test runs this process: it was told to note its steps or to stop at one."""
    return _halt.armed


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""  # the test that set this up is gone


def _stand_still(path: str, point: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
            sock.sendall(json.dumps({"pid": os.getpid(), "point": point}).encode() + b"\n")
            sock.recv(1)
        except OSError:
            return  # the test is gone, or another process has stopped here already


_halt = _Halt(dict(os.environ))


def _module_of(function: Callable[..., Any]) -> str:
    """Return the module's name, also if it runs as a program (``python -m``)."""
    name = function.__module__
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec.name if name == "__main__" and spec is not None else name


def step(function: Function) -> Function:
    """Mark a function, plain or async, as one step of a transition."""
    name = f"{_module_of(function).removeprefix(_PREFIX)}.{function.__qualname__}"
    STEPS.add(name)
    begin, end = f"{name}:begin", f"{name}:end"

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            if not _halt.armed:
                return await function(*args, **kwargs)
            _halt.reach(begin)
            result = await function(*args, **kwargs)
            _halt.reach(end)
            return result

    else:

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            if not _halt.armed:
                return function(*args, **kwargs)
            _halt.reach(begin)
            result = function(*args, **kwargs)
            _halt.reach(end)
            return result

    return cast("Function", run)
