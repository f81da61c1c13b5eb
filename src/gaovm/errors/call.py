"""A call ended without its answer: nobody listens, time ran out, or we have a defect."""

from __future__ import annotations

from gaovm.errors.root import GaoError


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
    """The time limit passed; the call may still finish."""

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
