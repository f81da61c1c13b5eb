"""Calls that take long: what Ctrl-C does to them, and how often a person is asked meanwhile.

``up``, ``start``, ``restart`` and ``provision`` wait here.
"""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, options, progress
from gaovm.model import phases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gaovm.client import blocking, signals

UNDONE = "undoing what was begun"

WAIT = options.Option(
    "--wait",
    "until the agent answers, or it has booted (default)",
    value="WHAT",
    choices=("agent", "ready"),
)
NO_WAIT = options.Option("--no-wait", "return as soon as the wish is on disk")
TIMEOUT = options.Option(
    "--timeout", "give up after this time, and undo", value="TIME", kind="duration"
)
UNDO = options.Option("--undo", "Ctrl-C undoes without asking")
KEEP = options.Option("--keep", "Ctrl-C and --timeout keep the VM and let it go on")
YES = options.Option("-y, --yes", "approve what the file lets the VM reach on this machine")


class Interrupts:
    """The first Ctrl-C of a long calls.call, as something that can be waited for.

    ``then`` is what becomes of the work, None: as the daemon has it.
    """

    def __init__(
        self, pipe: signals.SignalPipe, show: progress.Progress, effect: str, then: str | None
    ) -> None:
        self.fd = pipe.fd
        self.then = then
        self._pipe = pipe
        self._show = show
        self._effect = effect

    def saw(self, params: Mapping[str, Any]) -> None:
        """One notification of the call's progress."""
        self._show.update(params)

    def effect(self) -> str | None:
        """What the interrupt is said to do; None: nothing, the call goes on."""
        return self._effect

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if there was one; from then on the next leaves at once."""
        import signal

        if self._pipe.take():
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            effect = self.effect()
            if effect is None:
                signal.signal(signal.SIGINT, before)
                return
            self._show.note(f"interrupted: {effect} (Ctrl-C again: leave at once)")
            raise KeyboardInterrupt


class BringingUp(Interrupts):
    """Undoes while nothing of the guest is lost by that; later a person decides.

    ``--undo`` and ``--keep`` decide beforehand; where nobody can be asked the VM is kept.
    """

    def __init__(
        self, pipe: signals.SignalPipe, show: progress.Progress, parsed: options.Parsed
    ) -> None:
        wish = "keep" if parsed.flag("keep") else "undo"
        super().__init__(pipe, show, UNDONE, wish)
        self._decided = parsed.flag("keep") or parsed.flag("undo")
        self._answered = False

    def saw(self, params: Mapping[str, Any]) -> None:
        """One notification: later than the boot, the agent has answered."""
        self._answered = str(params.get("phase", "")) not in phases.BEFORE_AGENT
        super().saw(params)

    def effect(self) -> str | None:
        """What becomes of the VM, after asking whoever sits at the terminal."""
        if self._answered and not self._decided:
            self.then = "keep"  # where nobody can be asked, and for a Ctrl-C at the question
            if sys.stdin.isatty() and sys.stderr.isatty():
                from gaovm.cli import cutoff

                self._show.rest()
                answer = cutoff.ask()
                self.then = answer or "undo"  # if its time limit passes later
                if answer is None:
                    return None
        return "keeping the VM, its set-up goes on" if self.then == "keep" else UNDONE


def long_call(  # noqa: PLR0913  (a call, and how it may end)
    client: blocking.Client,
    method: str,
    params: Mapping[str, Any],
    show: progress.Progress,
    timeout_s: float | None = None,
    effect: str = UNDONE,
    interrupts: Callable[[signals.SignalPipe], Interrupts] | None = None,
) -> Any:
    """A call that Ctrl-C ends: the first says to what ``effect``, the second leaves at once.

    Raises:
        errors.Cancelled: it was interrupted.
        errors.TimeLimit: its time passed; ``call`` has the rest.
    """
    import signal

    from gaovm.client import signals

    with signals.SignalPipe([signal.SIGINT]) as pipe:
        then = "undo" if effect == UNDONE and method.startswith("vm.") else None
        waiting = interrupts(pipe) if interrupts else Interrupts(pipe, show, effect, then)
        try:
            return calls.call(
                client,
                method,
                params,
                timeout_s=timeout_s,
                on_progress=waiting.saw,
                interrupts=waiting,
            )
        except errors.Cancelled as error:
            if error.message == f"{method} was cancelled":  # by us: a stop says of itself
                error.message = "what was begun is undone"
            error.message = f"interrupted: {error.message}"
            if waiting.then == "keep":
                error.message = "interrupted: the VM is kept, and its set-up goes on"
                error.remedy = "`gaovm up` waits for it, `gaovm destroy` removes it"
            raise
        except errors.TimeLimit as error:
            error.message = error.message.replace(f"{method}: no answer within", "not done within")
            raise


def until_ready(parsed: options.Parsed) -> str:
    """How far a call waits, for its parameter ``wait``.

    Raises:
        errors.UsageError: two options exclude each other.
    """
    for one, other in (("no-wait", "wait"), ("undo", "keep")):
        if parsed.flag(one) and parsed.flag(other):
            raise errors.UsageError(f"--{other} and --{one} exclude each other")
    return "none" if parsed.flag("no-wait") else parsed.text("wait") or "ready"


def bring_up(
    client: blocking.Client, method: str, params: dict[str, Any], parsed: options.Parsed
) -> Any:
    """Make or start a VM, as ``up`` and ``start`` do; a person approves what its file reaches.

    Raises:
        errors.Cancelled, errors.TimeLimit: as ``long_call``.
    """

    def ask(show: progress.Progress) -> Any:
        limit_s = parsed.seconds("timeout")
        return long_call(
            client,
            method,
            params,
            show,
            limit_s,
            interrupts=lambda pipe: BringingUp(pipe, show, parsed),
        )

    return approved(ask, params, parsed)


def approved(
    ask: Callable[[progress.Progress], Any], file: dict[str, Any], parsed: options.Parsed
) -> Any:
    """The result of a call about a project file, which a person approves where it needs that.

    ``file`` are the parameters that hold the file; an approval is added to them.

    Raises:
        errors.ApprovalNeeded: nobody can be asked.
        errors.UsageError: the answer was no.
    """
    while True:
        try:
            with progress.to_stderr(quiet=parsed.flag("quiet")) as show:
                return ask(show)
        except errors.ApprovalNeeded as error:
            from gaovm.cli import approval

            file["approve"] = approval.given(error, file, yes=parsed.flag("yes"))
