"""The root of the error tree: what every error carries."""

from __future__ import annotations

from gaovm.errors import actions as known_actions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class GaoError(Exception):
    """Root of the tree; code raises only its subclasses."""

    code = "error"
    rpc_code = -32000
    http_status = 500
    exit_code = 1
    retriable = False

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        actions: tuple[known_actions.Action, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        self.actions = actions
        self.details: dict[str, Any] = dict(details or {})

    @property
    def advice(self) -> str | None:
        """Return what to do next in plain words: the remedy, else what the actions do."""
        return self.remedy or known_actions.sentence(self.actions) or None

    def name_vm(self, name: str) -> None:
        """Add the VM's name to the actions that take one and have none."""
        self.actions = known_actions.naming(self.actions, name)

    def __str__(self) -> str:
        return self.message
