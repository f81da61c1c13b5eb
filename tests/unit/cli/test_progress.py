from __future__ import annotations

from gaovm.cli import progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_has_share_amount_rate_and_time_left() -> None:
    text = progress.describe(
        {
            "phase": "image",
            "message": "unpacking\nlibc\x1b[2J",
            "done_bytes": 50 << 20,
            "total_bytes": 200 << 20,
            "rate_bytes_s": 10 << 20,
            "eta_s": 15,
        }
    )
    assert text == "image      libc[2J  25%  50.0 MiB of 200.0 MiB  10.0 MiB/s  15s left"
    assert progress.describe({"phase": "boot"}) == "boot"
    assert progress.describe({"phase": "x", "percent": True, "done_bytes": "many"}) == "x"


def test_plain_lines_are_rate_limited_within_a_phase_only() -> None:
    clock = Clock()
    written: list[str] = []
    shown = progress.Plain(written.append, clock)
    for second in range(12):
        clock.now = float(second)
        shown.update({"phase": "image", "message": f"step {second}"})
    shown.update({"phase": "boot", "message": "kernel"})
    shown.update({"phase": "boot", "message": "kernel"})
    assert [line.split() for line in written] == [
        ["image", "step", "0"],
        ["image", "step", "5"],
        ["image", "step", "10"],
        ["boot", "kernel"],
    ]


def test_a_terminal_line_is_redrawn_cut_and_ended_per_phase() -> None:
    clock = Clock()
    written: list[str] = []
    shown = progress.Terminal(written.append, lambda: 30, clock)
    with shown:
        shown.update({"phase": "image", "message": "m" * 80})
        clock.now = 3.0
        shown.redraw()
        shown.update({"phase": "boot", "message": "kernel"})
        clock.now = 4.0
        shown.note("warning: x")
    assert all(len(part) - len("\r\x1b[K") < 30 for part in written if not part.endswith("\n"))
    assert written[1].endswith("  3.0s")
    assert "\r\x1b[Kimage      done in 3.0s\n" in written
    assert "\r\x1b[Kwarning: x\n" in written
    assert written[-1] == "\r\x1b[Kboot       done in 1.0s\n"


def test_a_failure_is_marked() -> None:
    written: list[str] = []
    try:
        with progress.Terminal(written.append, lambda: 80, Clock()) as shown:
            shown.update({"phase": "boot", "message": "kernel"})
            raise KeyError
    except KeyError:
        pass
    assert written[-1] == "\r\x1b[Kboot       failed in 0.0s\n"


def test_quiet_shows_nothing() -> None:
    with progress.to_stderr(quiet=True) as shown:
        shown.update({"phase": "boot", "message": "kernel"})
        shown.note("x")
    assert type(shown) is progress.Progress
