"""What a guest may cost the driver: which frames, how many in one turn, how many a second.

Sans-I/O. With HTTP/2 a few bytes of a peer can make much work: we answer each ping, keep each
setting, look at each empty frame. Any frame costs some 25 µs, so this module counts frames, not
bytes. The driver reads a guest that floods slowly: the guest loses its own time, and its channel
only when it breaks the protocol.
"""

from __future__ import annotations

from collections.abc import Callable

from gaovm import errors
from gaovm.aio import clock

FRAME_HEAD = 9
MAX_FRAME = 1 << 20
#: Frames in one turn of the event loop; 256 take some 8 ms.
TURN = 256
#: Sustained frames a second, which take half of a core. A bulk stream at 100 MB/s has 2,000, or
#: 5,000 with the window updates that it causes.
PER_SECOND = 20_000
BURST = 40_000
SETTINGS = 0x4
#: The longest payload and the cost of each frame type of RFC 9113 that a server sends. Our agent's
#: headers have 100 bytes, its settings 50. It sends no PUSH_PROMISE and no CONTINUATION.
_KNOWN = {
    0x0: (MAX_FRAME, 1),  # DATA
    0x1: (16 << 10, 4),  # HEADERS
    0x2: (5, 1),  # PRIORITY
    0x3: (4, 1),  # RST_STREAM
    SETTINGS: (240, 16),
    0x6: (8, 1),  # PING
    0x7: (4 << 10, 1),  # GOAWAY
    0x8: (4, 1),  # WINDOW_UPDATE
}
#: The agent sends its settings once and confirms ours once. h2 keeps every setting.
MAX_SETTINGS = 64


class FrameGuard:
    """Checks the frames of one connection before ``h2`` gets them."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._settings = 0

    def take(self, data: bytes | memoryview, budget: int) -> tuple[int, int]:
        """Return how many of the bytes ``h2`` may get now (at least one), and their cost.

        Raises:
            errors.GuestProtocolError: a frame is too long or of a type that no agent sends, or
                there are too many settings. ``h2`` would first gather the whole frame.
        """
        at, cost, end = 0, 0, len(data)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            if cost >= budget and not self._head:
                break
            missing = FRAME_HEAD - len(self._head)
            self._head += bytes(data[at : at + missing])
            at += missing
            if len(self._head) == FRAME_HEAD:
                cost += self._begin(int.from_bytes(self._head[:3], "big"), self._head[3])
                self._head = b""
        return min(at, end), cost

    def _begin(self, length: int, kind: int) -> int:
        longest, cost = _KNOWN.get(kind, (-1, 0))
        if length > longest:
            raise errors.GuestProtocolError(
                f"the agent sent an HTTP/2 frame of type {kind} with {length} bytes"
            )
        if kind == SETTINGS:
            self._settings += 1
            if self._settings > MAX_SETTINGS:
                raise errors.GuestProtocolError("the agent changes its HTTP/2 settings too often")
        self._left = length
        return cost


class Pace:
    """A token bucket over all connections of one guest."""

    def __init__(self, now: Callable[[], float] = clock.monotonic) -> None:
        self._now = now
        self._tokens, self._at = float(BURST), now()

    def spend(self, cost: int) -> float:
        """Pay for a turn; return for how many seconds the channel must not read."""
        now = self._now()
        self._tokens = min(BURST, self._tokens + (now - self._at) * PER_SECOND) - cost
        self._at = now
        return 0.0 if self._tokens >= 0 else (TURN - self._tokens) / PER_SECOND


class Rejoining:
    """How long a guest must wait that ends its own connections again and again."""

    def __init__(
        self, now: Callable[[], float] = clock.monotonic, *, first_s: float, longest_s: float
    ) -> None:
        self._now, self._first_s, self._longest_s = now, first_s, longest_s
        self._losses = 0
        self._until = 0.0

    def lost(self, lived_s: float) -> None:
        """Count the loss of a connection that has lived this long. The first loss costs nothing."""
        if lived_s > self._longest_s:
            self._losses = 0
        self._losses += 1
        if self._losses > 1:
            pause = min(self._first_s * 2 ** (self._losses - 2), self._longest_s)
            self.hold(pause)

    def hold(self, pause_s: float) -> None:
        """Do not listen to the guest for this long."""
        self._until = max(self._until, self._now() + pause_s)

    @property
    def left_s(self) -> float:
        """The seconds that it must still wait; 0 when it may speak."""
        return max(0.0, self._until - self._now())
