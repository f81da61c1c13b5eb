"""The handshake: both sides send ``hello`` before they serve anything else. Pure.

The first speaker (the side that connected, or the driver) sends its hello. The other side answers
it and sends its own, which the first speaker answers. Each side may call what the other answered as
``acceptedCapabilities``.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.ipc import methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NotRequired, TypedDict

    from gaovm.wire import anyjson

    class Params(TypedDict):
        """The parameters of ``hello``."""

        protocol: str
        capabilities: list[str]
        requiredCapabilities: list[str]
        authToken: NotRequired[str]

    class Accepted(TypedDict):
        """The result of ``hello``."""

        protocol: str
        capabilities: list[str]
        acceptedCapabilities: list[str]


_SHOWN = 10
#: Where a driver that was started, not forked, finds its token.
TOKEN_VARIABLE = "GAOVM_DRIVER_TOKEN"


class Offer:
    """What one side says about itself in hello; the hello includes ``token`` if it is set."""

    __slots__ = ("capabilities", "protocol", "required", "token")

    def __init__(
        self,
        protocol: str,
        capabilities: Sequence[str],
        required: Sequence[str] = methods.REQUIRED,
        token: str | None = None,
    ) -> None:
        self.protocol = protocol
        self.capabilities = tuple(capabilities)
        self.required = tuple(required)
        self.token = token

    def params(self) -> Params:
        """Return the parameters of the ``hello`` request."""
        params: Params = {
            "protocol": self.protocol,
            "capabilities": list(self.capabilities),
            "requiredCapabilities": list(self.required),
        }
        if self.token is not None:
            params["authToken"] = self.token
        return params


def protocol_of(params: anyjson.Object) -> str:
    """Return the protocol that a hello asks for.

    Raises:
        errors.InvalidParams: the hello names no protocol.
    """
    protocol = params.get("protocol")
    if not isinstance(protocol, str):
        raise errors.InvalidParams("protocol must be a string", field="protocol")
    return protocol


def mismatch(expected: str, actual: str) -> errors.HandshakeError:
    """Make the error of two sides that speak different protocols."""
    return errors.HandshakeError(
        "Protocol mismatch", details={"expected": expected, "actual": actual}
    )


def answer(params: anyjson.Object, own: Offer, expected_token: str | None = None) -> Accepted:
    """Check the other side's hello and make the answer to it.

    Raises:
        errors.InvalidParams: a parameter is missing or has the wrong type.
        errors.HandshakeError: the other side speaks another protocol.
        errors.AuthError: ``expected_token`` is set and the other side sent another token or none.
        errors.CapabilityError: the other side requires a capability that we do not have.
    """
    protocol = protocol_of(params)
    if protocol != own.protocol:
        raise mismatch(own.protocol, protocol)
    offered = _names(params, "capabilities")
    required = _names(params, "requiredCapabilities", optional=True)
    if expected_token is not None:
        _check_token(params.get("authToken"), expected_token)
    ours = frozenset(own.capabilities)
    _check_required(required, ours)
    _check_required(own.required, frozenset(offered))
    return {
        "protocol": own.protocol,
        "capabilities": list(own.capabilities),
        "acceptedCapabilities": [name for name in offered if name in ours],
    }


def _check_required(required: Sequence[str], present: frozenset[str]) -> None:
    """Raise a CapabilityError if one is missing, in the words of ``gaovm.v1.2``."""
    missing = [name for name in required if name not in present]
    if missing:
        shown = ", ".join(f"{name:.60}" for name in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise errors.CapabilityError(
            "Capability mismatch",
            remedy=f"missing: {shown}{more}; use versions of both sides that know them",
            details={"required": list(required)},
        )


def _check_token(given: Any, expected: str) -> None:
    import hmac  # few processes need it

    same = isinstance(given, str) and hmac.compare_digest(
        given.encode(errors="surrogatepass"), expected.encode()
    )
    if not same:
        raise errors.AuthError("Authentication failed: missing or wrong token")


def _names(params: anyjson.Object, key: str, *, optional: bool = False) -> list[str]:
    names = params.get(key, [] if optional else None)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise errors.InvalidParams(f"{key} must be a list of strings", field=key)
    return names


def check_result(result: Any, own: Offer) -> frozenset[str]:
    """Check the answer to our hello; return the methods that the other side lets us call.

    Raises:
        errors.InvalidReply: the answer has the wrong form.
        errors.HandshakeError: the other side speaks another protocol.
        errors.CapabilityError: the other side does not accept a capability that we require.
    """
    if not isinstance(result, dict):
        raise errors.InvalidReply("the answer to hello is not an object")
    try:
        protocol = protocol_of(result)
        accepted = frozenset(_names(result, "acceptedCapabilities"))
    except errors.InvalidParams as exc:
        raise errors.InvalidReply(f"the answer to hello: {exc}") from exc
    if protocol != own.protocol:
        raise mismatch(own.protocol, protocol)
    _check_required(own.required, accepted)
    return accepted
