"""The caller asked for something wrong, or for something that cannot be done as asked."""

from __future__ import annotations

from gaovm.errors.root import GaoError


class CallerError(GaoError):
    """The caller asked for something that cannot be done as asked."""

    code = "caller_error"
    http_status = 400


class UsageError(CallerError):
    """A word on the command line is wrong, or an argument is missing."""

    code = "usage"
    rpc_code = -32602
    exit_code = 2


class ConfigError(CallerError):
    """A config file is wrong. ``details['problems']`` lists each problem.

    It is ``{file, line, path, message, remedy, lima}``; ``lima`` is Lima's own sentence, where Lima
    refuses the same.
    """

    code = "config_invalid"
    rpc_code = -32602
    http_status = 422
    exit_code = 2


class VmNotFound(CallerError):
    """No VM has that name. Nothing was created."""

    code = "vm_not_found"
    rpc_code = -32602
    http_status = 404


class NameTaken(CallerError):
    """The VM name belongs to another project."""

    code = "name_taken"
    http_status = 409
    exit_code = 2


class ApprovalNeeded(CallerError):
    """The project file lets its VM reach more of this machine than a person has approved.

    ``details`` has ``digest``: to approve the file, a caller passes it to ``vm.up`` as ``approve``;
    ``first``: whether nobody ever approved a file of this VM; ``widenings``: a list of
    ``{kind, what, before, after}``; ``approved_text``: the approved file, or null. Nothing was
    changed.
    """

    code = "approval_needed"
    http_status = 403
    exit_code = 2


class StateConflict(CallerError):
    """The VM's present state does not allow the call."""

    code = "state_conflict"
    http_status = 409


class PortTaken(CallerError):
    """An explicitly requested host port is in use; the message names the owner."""

    code = "port_taken"
    http_status = 409


class MountMissing(CallerError):
    """A mount's host directory does not exist."""

    code = "mount_missing"
    http_status = 422
    exit_code = 2


class MountRefused(CallerError):
    """A mount would give a guest access to files that no guest may see."""

    code = "mount_refused"
    http_status = 422
    exit_code = 2


class NotFound(CallerError):
    """Something other than a VM does not exist: a port, a file, an image in the store."""

    code = "not_found"
    http_status = 404


class ImageUnknown(CallerError):
    """The image is neither a known name nor a usable location."""

    code = "image_unknown"
    http_status = 422
    exit_code = 2


class ImageInUse(CallerError):
    """A VM's disk is based on the image."""

    code = "image_in_use"
    http_status = 409


class DigestMismatch(CallerError):
    """The bytes do not have the digest that the caller asked for."""

    code = "digest_mismatch"
    http_status = 422


class DiskShrink(CallerError):
    """The request would shrink a disk; a disk can only grow."""

    code = "disk_shrink"
    http_status = 422
    exit_code = 2


class DiskMissing(CallerError):
    """The config names an additional disk that does not exist, or whose file is gone."""

    code = "disk_missing"
    http_status = 422
    exit_code = 2


class DiskInUse(CallerError):
    """A VM uses the named disk; ``details['vm']`` is its name where that is known."""

    code = "disk_in_use"
    http_status = 409


class TooSlow(CallerError):
    """A subscriber or peer reads too slowly; the sender has cut it off."""

    code = "too_slow"
    http_status = 503
    retriable = True
