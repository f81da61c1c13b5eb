"""The user's terminal while a session in a VM uses it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class Raw:
    """Inside the context, every key goes to the guest; the old settings always come back.

    Does nothing when ``fd`` is not a terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> None:
        import termios
        import tty

        if not os.isatty(self._fd):
            return
        self._before = termios.tcgetattr(self._fd)
        # not the default TCSAFLUSH, which would drop keys that the user typed for the guest
        tty.setraw(self._fd, termios.TCSADRAIN)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            import contextlib
            import termios

            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)


def size(fd: int) -> tuple[int, int]:
    """Return rows and columns; 24 x 80 when the terminal does not say."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        columns, rows = 0, 0
    return rows or 24, columns or 80
