"""The host lacks something: a program, disk space, a permission."""

from __future__ import annotations

from gaovm.errors.root import GaoError


class HostError(GaoError):
    """This machine lacks something; the remedy says what."""

    code = "host_error"
    http_status = 503


class ProgramMissing(HostError):
    """A program is not installed; the remedy holds the command that installs it."""

    code = "program_missing"


class AcceleratorUnavailable(HostError):
    """The requested accelerator does not work here."""

    code = "accelerator_unavailable"


class DiskFull(HostError):
    """The disk has too little space; no partial file was left behind."""

    code = "disk_full"
    http_status = 507
    retriable = True


class DescriptorsScarce(HostError):
    """The daemon has few descriptors left and reserves them for work that must not fail."""

    code = "descriptors_scarce"
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
    """The user lacks a permission, for example subordinate uids."""

    code = "permission_missing"


class StateCorrupt(HostError):
    """A file of the state directory cannot be read."""

    code = "state_corrupt"


class LinkBelowShare(HostError):
    """A path leads through a symbolic link in a directory that a guest can write."""

    code = "link_below_share"
