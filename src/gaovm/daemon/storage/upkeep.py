"""Upkeep of the database: the writer's thread does it in small pieces, when nothing waits."""

from __future__ import annotations

import logging
import sqlite3
from typing import Protocol

logger = logging.getLogger(__name__)


class Chore(Protocol):
    """One kind of upkeep. All methods are called in the writer's thread."""

    def due_s(self) -> float | None:
        """Return the seconds until the next piece of work; None: nothing is planned."""
        ...

    def urgent(self) -> bool:
        """Whether it must not wait for a quiet moment any longer."""
        ...

    def run(self, connection: sqlite3.Connection) -> None:
        """Do one small piece, if there is anything to do."""
        ...


class Upkeep:
    """All chores of one database. Implements ``writer.Chores``."""

    def __init__(self) -> None:
        self._chores: list[Chore] = []

    def add(self, chore: Chore) -> None:
        """Add a chore, before the first write."""
        self._chores.append(chore)

    def due_s(self) -> float | None:
        """Return the seconds until the first chore is due."""
        waits = [wait for chore in self._chores if (wait := chore.due_s()) is not None]
        return max(min(waits), 0.0) if waits else None

    def urgent(self) -> bool:
        """Whether a chore must not wait."""
        return any(chore.urgent() for chore in self._chores)

    def run(self, connection: sqlite3.Connection) -> None:
        """Do one piece of each chore; log a failure and try again when next due."""
        for chore in self._chores:
            try:
                chore.run(connection)
            except Exception:
                logger.exception("upkeep of the state database failed")
