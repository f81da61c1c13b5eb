"""Wait for long calls: handle Ctrl-C, and ask the person at the terminal.

``up``, ``start``, ``restart`` and ``provision`` wait here.
"""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, options, progress, target
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
NO_WAIT = options.Option("--no-wait", "return as soon as the request is on disk")
TIMEOUT = options.Option(
    "--timeout", "give up after this time, and undo", value="TIME", kind="duration"
)
UNDO = options.Option("--undo", "Ctrl-C undoes without asking")
KEEP = options.Option("--keep", "Ctrl-C and --timeout keep the VM and let it go on")
YES = options.Option("-y, --yes", "approve what the file lets the VM reach on this machine")


class Interrupts:
    """Let a long call wait for Ctrl-C.

    ``then`` tells the daemon what becomes of the work: ``undo``, ``keep``, or None for its default.
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
        """Show one notification of the call's progress."""
        self._show.update(params)

    def effect(self) -> str | None:
        """Return what the interrupt does, for people; None: nothing, the call goes on."""
        return self._effect

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` after the first Ctrl-C; the next one leaves at once."""
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
    """Undo a start that is interrupted before the agent answers; later, ask the person.

    ``--undo`` and ``--keep`` decide beforehand. Without a terminal to ask on, keep the VM.
    """

    def __init__(
        self, pipe: signals.SignalPipe, show: progress.Progress, parsed: options.Parsed
    ) -> None:
        wish = "keep" if parsed.flag("keep") else "undo"
        super().__init__(pipe, show, UNDONE, wish)
        self._decided = parsed.flag("keep") or parsed.flag("undo")
        self._answered = False

    def saw(self, params: Mapping[str, Any]) -> None:
        """Show a notification; a phase after the boot means that the agent has answered."""
        self._answered = str(params.get("phase", "")) not in phases.BEFORE_AGENT
        super().saw(params)

    def effect(self) -> str | None:
        """Ask what becomes of the VM, where that is open, and say it."""
        if self._answered and not self._decided:
            self.then = "keep"  # also if nobody can be asked, or Ctrl-C comes at the question
            if sys.stdin.isatty() and sys.stderr.isatty():
                from gaovm.cli import cutoff

                self._show.rest()
                answer = cutoff.ask()
                self.then = answer or "undo"  # in case the time limit passes later
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
    """Make a call that Ctrl-C ends. The first one says its ``effect``; the second leaves at once.

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
            if (
                error.message == f"{method} was cancelled"
            ):  # by our Ctrl-C; a concurrent stop says so itself
                error.message = "what was begun is undone"
            error.message = f"interrupted: {error.message}"
            if waiting.then == "keep":
                error.message = "interrupted: the VM is kept, and its set-up goes on"
                name = params.get("name", "")
                wait, destroy = target.command("up", name), target.command("destroy", name)
                error.remedy = f"`{wait}` waits for it, `{destroy}` removes it"
            raise
        except errors.TimeLimit as error:
            error.message = error.message.replace(f"{method}: no answer within", "not done within")
            raise


def until_ready(parsed: options.Parsed) -> str:
    """Return how far the call waits: the value of its parameter ``wait``.

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
    """Make or start a VM for ``up`` and ``start``; ask for approval where its file needs it.

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
    """Make a call about a project file; repeat it once a person has approved the file.

    ``file`` holds the parameters of the file; the approval is added to them.

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
