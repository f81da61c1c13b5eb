"""What the driver knows about the VM now, and the notification at every change."""

from __future__ import annotations

from collections.abc import Callable

from gaovm import errors
from gaovm.aio import clock
from gaovm.model.states import Observed, Readiness
from gaovm.wire import anyjson
from gaovm.wire.driver import notifications
from gaovm.wire.driver.results import Boot, Port

Notify = Callable[[notifications.Notification], None]


class Status:
    """Observed state, readiness and boot times. Only ``change`` writes them."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._started = 0.0
        self.observed = "stopped"
        self.readiness: str | None = None
        self.agent_ms: float | None = None
        self.ready_ms: float | None = None
        self.error: errors.GaoError | None = None
        self.reason: str | None = None
        self.paused = False
        #: Counts the pauses, so that a measurement can tell whether a pause fell into it.
        self.pauses = 0

    def begin(self) -> None:
        """Start the boot times: the hypervisor is executed next."""
        self._started = clock.monotonic()
        self.agent_ms = self.ready_ms = None
        self.error = None

    def change(
        self,
        observed: str,
        readiness: str | None = None,
        *,
        reason: str | None = None,
        error: errors.GaoError | None = None,
    ) -> None:
        """Set the state and tell the daemon."""
        self.observed, self.readiness, self.error = observed, readiness, error
        self.reason = reason
        self.paused = self.paused and observed == "running"
        since = round((clock.monotonic() - self._started) * 1000, 1)
        if readiness == "agent" and self.agent_ms is None:
            self.agent_ms = since
        if readiness == "ready" and self.ready_ms is None:
            self.ready_ms = since
        state = notifications.State(
            observed=Observed(observed),
            readiness=None if readiness is None else Readiness(readiness),
            at=clock.now(),
            boot=self.boot(),
            reason=reason,
            error=None if error is None else describe(error),
        )
        self._notify(state)

    def pause(self, paused: bool, detail: str) -> None:
        """Tell the daemon, once, that the hypervisor has paused or resumed the guest."""
        if paused != self.paused:
            self.paused = paused
            self.pauses += paused
            self.health("paused" if paused else "resumed", detail)

    def health(self, kind: str, detail: str) -> None:
        """Report what happened to the guest's health; the daemon decides by its policy."""
        self._notify(notifications.Health(kind=kind, at=clock.now(), detail=detail[:1000]))

    def hypervisor_ended(self, pid: int | None, status: int, at: float) -> None:
        """Report at once that the hypervisor exited; the state that follows says what it means."""
        self._notify(notifications.Hypervisor(pid=pid, status=status, at=at))

    def ports(self, ports: tuple[Port, ...], problem: str | None) -> None:
        """Report which host ports lead into the guest now."""
        self._notify(notifications.Ports(ports=ports, problem=problem))

    def progress(self, phase: str, message: str) -> None:
        """Report what the driver is doing."""
        self._notify(notifications.Progress(phase=phase, message=message[:1000]))

    def boot(self) -> Boot | None:
        """Milliseconds from the exec of the hypervisor to the agent, and to ready."""
        if self.agent_ms is None:
            return None
        return Boot(agent_ms=self.agent_ms, ready_ms=self.ready_ms)


def describe(error: errors.GaoError) -> anyjson.Object:
    """Return an error for a notification: code, message and what else it has."""
    wire = errors.to_wire(error)
    return {"message": error.message, **wire["data"]}
