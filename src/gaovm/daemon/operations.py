"""An operation of this daemon: joint work that reports its progress to clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gaovm.aio import joint_work
from gaovm.wire.control.progress import Progress

Result = TypeVar("Result")
Listener = Callable[[Progress], None]
Operation = joint_work.Operation[Progress, Result]
