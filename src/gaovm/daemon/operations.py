"""An operation of this daemon: joint work whose progress is told to clients as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gaovm.aio import joint_work

Result = TypeVar("Result")
Progress = dict[str, Any]
Listener = Callable[[Progress], None]
Operation = joint_work.Operation[Progress, Result]
