"""The one error tree of GaoVM.

Every error a user, a client or another process can meet is a class here. A class fixes five
things, so that the socket, the command line and (later) HTTP say the same: ``code`` (a stable
word, the identity on the wire), ``rpc_code`` (JSON-RPC's number), ``http_status``, ``exit_code``
(1 failed, 2 usage or config, 3 no daemon, 4 bad reply, 124 time limit, 130 interrupted),
``retriable`` (the same call may succeed later without a change). An instance adds the message, the
``field`` it is about (a config path such as ``portForwards[0].hostPort``), the ``remedy`` (what to
do next, in words that name no command), the ``actions`` that do it and ``details`` (JSON data).
One file holds one family; ``actions`` has the table of actions; ``wire`` turns errors into JSON-RPC
and back. Hot commands load this package: it imports nothing.

    GaoError
    ├── DaemonUnreachable
    ├── ConnectionLost               the effect of a pending call is unknown
    ├── TimeLimit
    ├── Cancelled
    ├── InternalError                our own defect
    ├── CallerError                  the caller asked for something wrong
    │   ├── UsageError
    │   ├── ConfigError              problems of a config file, each with line and path
    │   ├── VmNotFound
    │   ├── NameTaken
    │   ├── ApprovalNeeded           a project file reaches further than was approved
    │   ├── StateConflict
    │   ├── PortTaken
    │   ├── MountMissing
    │   ├── MountRefused
    │   ├── NotFound
    │   ├── ImageUnknown
    │   ├── ImageInUse
    │   ├── DigestMismatch
    │   ├── DiskShrink
    │   ├── DiskMissing
    │   ├── DiskInUse
    │   └── TooSlow
    ├── GuestError                   the guest or its agent failed
    │   ├── GuestUnavailable
    │   ├── GuestProtocolError
    │   ├── BootFailed
    │   ├── GuestFailed              it panicked, or hung and was ended
    │   ├── ProvisionFailed
    │   ├── ProbeFailed
    │   └── GuestCallFailed
    ├── HostError                    the machine lacks something
    │   ├── ProgramMissing
    │   ├── AcceleratorUnavailable
    │   ├── DiskFull
    │   ├── DescriptorsScarce
    │   ├── ImageCorrupt
    │   ├── ImageBuildFailed
    │   ├── PullFailed
    │   ├── PermissionMissing
    │   ├── StateCorrupt
    │   └── LinkBelowShare
    ├── ProtocolError                the peer broke the protocol
    │   ├── FrameError
    │   ├── InvalidRequest
    │   ├── UnknownMethod
    │   ├── InvalidParams
    │   ├── HandshakeError
    │   ├── AuthError
    │   ├── CapabilityError
    │   └── InvalidReply
    └── RuntimeFailure               driver or hypervisor failed
        ├── DriverStartFailed
        ├── DriverLost
        ├── HypervisorFailed
        ├── NetworkLost
        └── LockHeld
"""

from gaovm.errors.actions import Action
from gaovm.errors.call import Cancelled, ConnectionLost, DaemonUnreachable, InternalError, TimeLimit
from gaovm.errors.caller import (
    ApprovalNeeded,
    CallerError,
    ConfigError,
    DigestMismatch,
    DiskInUse,
    DiskMissing,
    DiskShrink,
    ImageInUse,
    ImageUnknown,
    MountMissing,
    MountRefused,
    NameTaken,
    NotFound,
    PortTaken,
    StateConflict,
    TooSlow,
    UsageError,
    VmNotFound,
)
from gaovm.errors.guest import (
    BootFailed,
    GuestCallFailed,
    GuestError,
    GuestFailed,
    GuestProtocolError,
    GuestUnavailable,
    ProbeFailed,
    ProvisionFailed,
)
from gaovm.errors.host import (
    AcceleratorUnavailable,
    DescriptorsScarce,
    DiskFull,
    HostError,
    ImageBuildFailed,
    ImageCorrupt,
    LinkBelowShare,
    PermissionMissing,
    ProgramMissing,
    PullFailed,
    StateCorrupt,
)
from gaovm.errors.protocol import (
    AuthError,
    CapabilityError,
    FrameError,
    HandshakeError,
    InvalidParams,
    InvalidReply,
    InvalidRequest,
    ProtocolError,
    UnknownMethod,
)
from gaovm.errors.root import GaoError
from gaovm.errors.runtime import (
    DriverLost,
    DriverStartFailed,
    HypervisorFailed,
    LockHeld,
    NetworkLost,
    RuntimeFailure,
)
from gaovm.errors.wire import from_wire, to_wire

__all__ = [
    "AcceleratorUnavailable",
    "Action",
    "ApprovalNeeded",
    "AuthError",
    "BootFailed",
    "CallerError",
    "Cancelled",
    "CapabilityError",
    "ConfigError",
    "ConnectionLost",
    "DaemonUnreachable",
    "DescriptorsScarce",
    "DigestMismatch",
    "DiskFull",
    "DiskInUse",
    "DiskMissing",
    "DiskShrink",
    "DriverLost",
    "DriverStartFailed",
    "FrameError",
    "GaoError",
    "GuestCallFailed",
    "GuestError",
    "GuestFailed",
    "GuestProtocolError",
    "GuestUnavailable",
    "HandshakeError",
    "HostError",
    "HypervisorFailed",
    "ImageBuildFailed",
    "ImageCorrupt",
    "ImageInUse",
    "ImageUnknown",
    "InternalError",
    "InvalidParams",
    "InvalidReply",
    "InvalidRequest",
    "LinkBelowShare",
    "LockHeld",
    "MountMissing",
    "MountRefused",
    "NameTaken",
    "NetworkLost",
    "NotFound",
    "PermissionMissing",
    "PortTaken",
    "ProbeFailed",
    "ProgramMissing",
    "ProtocolError",
    "ProvisionFailed",
    "PullFailed",
    "RuntimeFailure",
    "StateConflict",
    "StateCorrupt",
    "TimeLimit",
    "TooSlow",
    "UnknownMethod",
    "UsageError",
    "VmNotFound",
    "from_wire",
    "to_wire",
]
