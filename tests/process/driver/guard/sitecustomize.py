"""Tests load this into a zygote: it writes what forks import to ``GAOVM_TEST_IMPORTS``.

An old driver must not load files of a newer installation: the zygote imports everything first.
"""

from __future__ import annotations

import os
import sys
from types import FrameType


def _watch() -> None:
    path = os.environ["GAOVM_TEST_IMPORTS"]

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "import":
            frame: FrameType | None = sys._getframe(1)
            places: list[str] = []
            while frame is not None and len(places) < 12:
                if "importlib" not in frame.f_code.co_filename:
                    places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                frame = frame.f_back
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, f"{args[0]} {' < '.join(places)}\n".encode())
            os.close(fd)

    sys.addaudithook(hook)


if "GAOVM_TEST_IMPORTS" in os.environ:
    os.register_at_fork(after_in_child=_watch)
