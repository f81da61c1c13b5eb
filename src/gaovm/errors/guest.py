"""The guest or its agent failed; only its own VM is affected."""

from __future__ import annotations

from gaovm.errors.root import GaoError


class GuestError(GaoError):
    """The guest failed; only its own VM is affected."""

    code = "guest_error"
    http_status = 502


class GuestUnavailable(GuestError):
    """The agent does not answer, or does not answer yet."""

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
    """The guest panicked, or GaoVM ended it because it hung.

    ``details['serial_tail']`` holds its last output.
    """

    code = "guest_failed"


class ProvisionFailed(GuestError):
    """A provision script failed; ``details``: script, status, tail. The VM stays up."""

    code = "provision_failed"


class ProbeFailed(GuestError):
    """A readiness probe did not pass in time; ``details``: probe, hint, tail."""

    code = "probe_failed"


class GuestCallFailed(GuestError):
    """The agent refused a call; ``details['agent_code']`` is the code of its reason."""

    code = "guest_call_failed"
