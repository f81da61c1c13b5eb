"""The one error tree of GaoVM.

Every error a user, a client or another process can meet is a class here. A class fixes five
things, so that the socket, the command line and (later) HTTP say the same: ``code`` (a stable
word, the identity on the wire), ``rpc_code`` (JSON-RPC's number), ``http_status``, ``exit_code``
(1 failed, 2 usage or config, 3 no daemon, 4 bad reply, 124 time limit, 130 interrupted),
``retriable`` (the same call may succeed later without a change). An instance adds the message, the
``field`` it is about (a config path such as ``portForwards[0].hostPort``), the ``remedy`` (what to
do next) and ``details`` (JSON data). The module imports nothing: hot commands load it.

    GaoError
    ├── CallerError                  the caller asked for something wrong
    │   ├── UsageError
    │   ├── ConfigError              problems of a config file, each with line and path
    │   ├── VmNotFound
    │   ├── NameTaken
    │   ├── StateConflict
    │   ├── PortTaken
    │   ├── MountMissing
    │   ├── NotFound
    │   ├── ImageUnknown
    │   ├── ImageInUse
    │   ├── DigestMismatch
    │   ├── DiskShrink
    │   └── TooSlow
    ├── HostError                    the machine lacks something
    │   ├── ProgramMissing
    │   ├── AcceleratorUnavailable
    │   ├── DiskFull
    │   ├── ImageCorrupt
    │   ├── ImageBuildFailed
    │   ├── PullFailed
    │   ├── PermissionMissing
    │   └── StateCorrupt
    ├── GuestError                   the guest or its agent failed
    │   ├── GuestUnavailable
    │   ├── GuestProtocolError
    │   ├── BootFailed
    │   ├── GuestFailed              it panicked, or hung and was ended
    │   ├── ProvisionFailed
    │   ├── ProbeFailed
    │   └── GuestCallFailed
    ├── RuntimeFailure               driver or hypervisor failed
    │   ├── DriverStartFailed
    │   ├── DriverLost
    │   ├── HypervisorFailed
    │   └── LockHeld
    ├── ProtocolError                the peer broke the protocol
    │   ├── FrameError
    │   ├── InvalidRequest
    │   ├── UnknownMethod
    │   ├── InvalidParams
    │   ├── HandshakeError
    │   ├── AuthError
    │   ├── CapabilityError
    │   └── InvalidReply
    ├── DaemonUnreachable
    ├── ConnectionLost               the effect of a pending call is unknown
    ├── TimeLimit
    ├── Cancelled
    └── InternalError                our own defect
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class GaoError(Exception):
    """Root of the tree; never raised itself."""

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
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return self.message


class CallerError(GaoError):
    """The caller asked for something that cannot be done as asked."""

    code = "caller_error"
    http_status = 400


class UsageError(CallerError):
    """Wrong words on the command line or a missing argument."""

    code = "usage"
    rpc_code = -32602
    exit_code = 2


class ConfigError(CallerError):
    """A config file is wrong. ``details['problems']`` lists ``{line, path, message}``."""

    code = "config_invalid"
    rpc_code = -32602
    http_status = 422
    exit_code = 2


class VmNotFound(CallerError):
    """No VM of that name. Nothing was created."""

    code = "vm_not_found"
    rpc_code = -32602
    http_status = 404


class NameTaken(CallerError):
    """The VM name belongs to another project."""

    code = "name_taken"
    http_status = 409
    exit_code = 2


class StateConflict(CallerError):
    """The VM is in a state in which the call makes no sense."""

    code = "state_conflict"
    http_status = 409


class PortTaken(CallerError):
    """A host port asked for explicitly is in use; the message names the owner."""

    code = "port_taken"
    http_status = 409


class MountMissing(CallerError):
    """A mount's host directory does not exist."""

    code = "mount_missing"
    http_status = 422
    exit_code = 2


class NotFound(CallerError):
    """A thing other than a VM (a port, a file, an image in the store) does not exist."""

    code = "not_found"
    http_status = 404


class ImageUnknown(CallerError):
    """The image is neither a known name nor a location that can be used."""

    code = "image_unknown"
    http_status = 422
    exit_code = 2


class ImageInUse(CallerError):
    """The image backs the disk of a VM."""

    code = "image_in_use"
    http_status = 409


class DigestMismatch(CallerError):
    """Bytes do not have the digest that was asked for."""

    code = "digest_mismatch"
    http_status = 422


class DiskShrink(CallerError):
    """A disk may grow, never shrink."""

    code = "disk_shrink"
    http_status = 422
    exit_code = 2


class TooSlow(CallerError):
    """A subscriber or peer read more slowly than was written for it, and was cut off."""

    code = "too_slow"
    http_status = 503
    retriable = True


class HostError(GaoError):
    """This machine lacks something; the remedy says what."""

    code = "host_error"
    http_status = 503


class ProgramMissing(HostError):
    """A program is not installed; the remedy holds the command that installs it."""

    code = "program_missing"


class AcceleratorUnavailable(HostError):
    """The accelerator asked for does not work here."""

    code = "accelerator_unavailable"


class DiskFull(HostError):
    """Not enough space; nothing half-made was left."""

    code = "disk_full"
    http_status = 507
    retriable = True


class ImageCorrupt(HostError):
    """A stored image no longer has its digest."""

    code = "image_corrupt"


class ImageBuildFailed(HostError):
    """The image builder failed; the message holds its last lines."""

    code = "image_build_failed"


class PullFailed(HostError):
    """A download failed."""

    code = "pull_failed"
    retriable = True


class PermissionMissing(HostError):
    """The user lacks a right, for example subordinate uids."""

    code = "permission_missing"


class StateCorrupt(HostError):
    """A file of the state directory cannot be read."""

    code = "state_corrupt"


class GuestError(GaoError):
    """The guest failed; only its own VM is affected."""

    code = "guest_error"
    http_status = 502


class GuestUnavailable(GuestError):
    """The agent does not answer, or not yet."""

    code = "guest_unavailable"
    http_status = 503
    retriable = True


class GuestProtocolError(GuestError):
    """The agent broke its protocol."""

    code = "guest_protocol"


class BootFailed(GuestError):
    """The guest did not come up; ``details['serial_tail']`` holds the last lines of the console."""

    code = "boot_failed"


class GuestFailed(GuestError):
    """The guest panicked, or hung and was ended; ``details['serial_tail']``: its last lines."""

    code = "guest_failed"


class ProvisionFailed(GuestError):
    """A provision script failed; ``details``: script, status, tail. The VM stays up."""

    code = "provision_failed"


class ProbeFailed(GuestError):
    """A readiness probe did not pass in time; ``details``: probe, hint, tail."""

    code = "probe_failed"


class GuestCallFailed(GuestError):
    """The agent refused a call; ``details['agent_code']`` is its word for why."""

    code = "guest_call_failed"


class RuntimeFailure(GaoError):
    """Driver or hypervisor failed."""

    code = "runtime_failure"


class DriverStartFailed(RuntimeFailure):
    """No driver process could be started."""

    code = "driver_start_failed"


class DriverLost(RuntimeFailure):
    """The driver process ended; the effect of a pending call is unknown."""

    code = "driver_lost"
    retriable = True


class HypervisorFailed(RuntimeFailure):
    """The hypervisor refused to start or died; the message holds its last words."""

    code = "hypervisor_failed"


class LockHeld(RuntimeFailure):
    """Another process holds the lock."""

    code = "lock_held"
    retriable = True


class ProtocolError(GaoError):
    """The peer broke the protocol."""

    code = "protocol_error"
    rpc_code = -32600
    http_status = 400
    exit_code = 4


class FrameError(ProtocolError):
    """A frame is malformed: the connection is closed without a reply."""

    code = "bad_frame"
    rpc_code = -32700


class InvalidRequest(ProtocolError):
    """An object that is no JSON-RPC request."""

    code = "invalid_request"


class UnknownMethod(ProtocolError):
    """The method does not exist."""

    code = "unknown_method"
    rpc_code = -32601


class InvalidParams(ProtocolError):
    """The parameters do not fit the method."""

    code = "invalid_params"
    rpc_code = -32602
    exit_code = 2


class HandshakeError(ProtocolError):
    """Protocols differ, or a method was called before hello."""

    code = "handshake_failed"
    rpc_code = -32010


class AuthError(ProtocolError):
    """Missing or wrong token or ticket."""

    code = "auth_failed"
    rpc_code = -32011
    http_status = 401


class CapabilityError(ProtocolError):
    """A required capability is not offered, or a method outside the accepted ones was called."""

    code = "capability_missing"
    rpc_code = -32012


class InvalidReply(ProtocolError):
    """The peer answered something that is no valid reply."""

    code = "invalid_reply"


class DaemonUnreachable(GaoError):
    """No daemon listens and none could be started."""

    code = "daemon_unreachable"
    http_status = 503
    exit_code = 3
    retriable = True


class ConnectionLost(GaoError):
    """The connection ended while a call was pending: its effect is unknown."""

    code = "connection_lost"
    exit_code = 3
    retriable = True


class TimeLimit(GaoError):
    """The time limit passed; what was under way may still finish."""

    code = "time_limit"
    http_status = 408
    exit_code = 124
    retriable = True


class Cancelled(GaoError):
    """The operation was cancelled and undone."""

    code = "cancelled"
    http_status = 409
    exit_code = 130


class InternalError(GaoError):
    """Our own defect; the daemon's log has the traceback."""

    code = "internal"
    rpc_code = -32603


def _collect(base: type[GaoError]) -> dict[str, type[GaoError]]:
    found = {base.code: base}
    for child in base.__subclasses__():
        found.update(_collect(child))
    return found


_BY_CODE = _collect(GaoError)


def to_wire(error: GaoError) -> dict[str, Any]:
    """The JSON-RPC ``error`` object of an error: code, message, data."""
    data: dict[str, Any] = {"code": error.code, "retriable": error.retriable}
    if error.field is not None:
        data["field"] = error.field
    if error.remedy is not None:
        data["remedy"] = error.remedy
    if error.details:
        data["details"] = error.details
    return {"code": error.rpc_code, "message": error.message, "data": data}


def from_wire(wire: Mapping[str, Any]) -> GaoError:
    """The typed error of a JSON-RPC ``error`` object; unknown codes go by their number.

    Never raises: whatever the peer sent, an instance of the tree comes back.
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
    return cls(
        message,
        field=field if isinstance(field, str) else None,
        remedy=remedy if isinstance(remedy, str) else None,
        details=details if isinstance(details, dict) else None,
    )


_NUMBERED: list[type[GaoError]] = [InternalError, *ProtocolError.__subclasses__()]
# Reversed, so that of two classes with one number the first drawn wins.
_BY_RPC_CODE = {cls.rpc_code: cls for cls in reversed(_NUMBERED)}
