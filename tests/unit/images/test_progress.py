"""mmdebstrap's lines become phases, and percentages that never go back."""

from __future__ import annotations

import pytest

from gaovm.images import progress

LINES = """\
I: running apt-get update...
I: downloading packages with apt...
Need to get 30.0 MB of archives.
Get:1 http://m.example/debian bookworm/main amd64 gcc-12-base amd64 12.2.0 [15.0 MB]
Get:2 http://m.example/debian bookworm/main amd64 libc6 amd64 2.36 [15,000 kB]
I: extracting archives...
I: installing essential packages...
Setting up libc6:amd64 (2.36) ...
I: installing remaining packages inside the chroot...
Unpacking git (1:2.39) ...
gaovm: kernel
I: cleaning package lists and apt cache...
"""


def test_a_build() -> None:
    now = 0.0
    reports: list[progress.Progress] = []

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    tracker = progress.BuildProgress(reports.append, clock)
    for line in LINES.splitlines():
        tracker.line(line)
    percents = [r.percent for r in reports if r.percent is not None]
    assert percents == sorted(percents)
    assert [r.phase for r in reports if r.done_bytes] == ["download", "download"]
    last = [r for r in reports if r.phase == "download"][-1]
    assert (last.done_bytes, last.total_bytes) == (30_000_000, 30_000_000)
    assert last.percent == 25.0
    assert last.rate_bytes_s is not None
    assert reports[-1].phase == "cleanup"
    assert reports[-1].eta_s is not None
    assert any(r.message == "setting up libc6" for r in reports)


def test_eta_follows_an_earlier_build() -> None:
    now = 0.0
    reports: list[progress.Progress] = []
    tracker = progress.BuildProgress(reports.append, lambda: now, expected_s=30.0)
    now = 10.0
    tracker.phase("index", "x")
    now = 40.0
    tracker.phase("pack", "y")
    assert [r.eta_s for r in reports] == [20.0, 0.0]


def test_bytes_are_reported_sparsely() -> None:
    now = 0.0
    reports: list[progress.Progress] = []
    counter = progress.ByteProgress(reports.append, lambda: now, "download", "x", 100)
    for _ in range(10):
        now += 0.01
        counter.add(10)
    counter.add(0, final=True)
    assert len(reports) == 2
    assert reports[-1].percent == 100.0
    assert reports[-1].rate_bytes_s == pytest.approx(1000.0)
