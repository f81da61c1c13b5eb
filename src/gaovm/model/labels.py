"""The one word and the one line with which GaoVM shows a VM's state to people."""

from __future__ import annotations

from gaovm.model import states

_READINESS_LINES = {
    states.Readiness.BOOTING: "the guest is booting",
    states.Readiness.AGENT: "the agent answers",
    states.Readiness.PROVISIONING: "provisioning",
    states.Readiness.PROBING: "waiting for readiness probes",
    states.Readiness.READY: "ready",
    states.Readiness.DEGRADED: "something failed, but the VM still runs",
}
_OBSERVED_LINES = {
    states.Observed.STOPPED: "",
    states.Observed.STARTING: "the VM is being started",
    states.Observed.STOPPING: "the guest is shutting down",
    states.Observed.FAILED: "the VM ended unexpectedly",
    states.Observed.BACKOFF: "the VM ended unexpectedly and is started again",
}


def describe(
    state: states.VmState,
    *,
    error: str | None = None,
    note: str | None = None,
    interrupted: bool = False,
) -> tuple[str, str]:
    """Return the word and the detail of a state.

    ``error`` is the last error's message, ``note`` the work under way. A failed first ``up`` has a
    word of its own and never looks like a good stopped VM. When somebody stopped the first ``up``
    before its end, the VM is stopped, and the detail says what is missing. ``interrupted``: the
    client that waited for the ``up`` has gone away, and the ``up`` continues.
    """
    first_line = (error or "").partition("\n")[0]
    if state.observed in states.AT_REST and state.first_up is states.FirstUp.FAILED:
        return "first-up-failed", first_line or "its first `up` failed"
    if state.readiness is not None:
        line = note or _READINESS_LINES[state.readiness]
        if state.readiness is states.Readiness.DEGRADED:
            return "degraded", first_line or line
        if interrupted and state.readiness is not states.Readiness.READY:
            return (
                "interrupted",
                f"its `up` was interrupted and continues: {line}",
            )
        return "running", line
    line = note or _OBSERVED_LINES[state.observed]
    if state.observed is states.Observed.STOPPED and state.first_up is states.FirstUp.PENDING:
        line = line or "its first `up` did not finish"
    if state.observed is states.Observed.FAILED:
        return "failed", first_line or line
    if state.observed is states.Observed.BACKOFF:
        return "restarting", line if note else f"{line}: {first_line}" if first_line else line
    return str(state.observed), line
