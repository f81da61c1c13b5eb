"""Convert errors to the ``error`` object of JSON-RPC, and back."""

from __future__ import annotations

from gaovm.errors import actions as known_actions
from gaovm.errors.call import InternalError
from gaovm.errors.protocol import ProtocolError
from gaovm.errors.root import GaoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _collect(base: type[GaoError]) -> dict[str, type[GaoError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found.update(_collect(child))
    return found


_BY_CODE = _collect(GaoError)


def to_wire(error: GaoError) -> dict[str, Any]:
    """Return the JSON-RPC ``error`` object of an error: code, message, data.

    ``data.remedy`` is complete without the actions, for a peer that does not know them.
    """
    data: dict[str, Any] = {"code": error.code, "retriable": error.retriable}
    if error.field is not None:
        data["field"] = error.field
    if error.advice is not None:
        data["remedy"] = error.advice
    if error.actions:
        data["actions"] = known_actions.to_wire(error.actions)
    if error.details:
        data["details"] = error.details
    return {"code": error.rpc_code, "message": error.message, "data": data}


def from_wire(wire: Mapping[str, Any]) -> GaoError:
    """Return the typed error of a JSON-RPC ``error`` object.

    The number selects the class when the code is unknown. Never raises: whatever the peer sent, the
    result is an instance of the tree.
    """
    message = str(wire.get("message", "unknown error"))
    data = wire.get("data")
    if not isinstance(data, dict):
        data = {}
    cls = _BY_CODE.get(str(data.get("code")))
    if cls is None:
        number = wire.get("code")
        cls = _BY_RPC_CODE.get(number, InternalError) if isinstance(number, int) else InternalError
    details = data.get("details")
    field, remedy = data.get("field"), data.get("remedy")
    actions = known_actions.from_wire(data.get("actions"))
    if remedy == known_actions.sentence(actions):
        remedy = None  # the text only repeats the actions
    return cls(
        message,
        field=field if isinstance(field, str) else None,
        remedy=remedy if isinstance(remedy, str) else None,
        actions=actions,
        details=details if isinstance(details, dict) else None,
    )


_NUMBERED: list[type[GaoError]] = [InternalError, *ProtocolError.__subclasses__()]
# Reversed: when two classes share a number, the first one in the drawing wins.
_BY_RPC_CODE = {cls.rpc_code: cls for cls in reversed(_NUMBERED)}
