"""Shared directories: whether they show the truth, what they cost, and how fast changes are told.

Truth: tries of each kind and direction, half of them while a watcher in the guest reads everything
(see `truth.py`). Cost: one program, in the guest and on the bare host, writes and reads a large
file, and makes, stats, reads and removes 2,000 small ones. `before` is virtiofs with the options
that it had before the fix: the guest trusted for a second what it knew. Speed: the same work on the
same share, server and mount options under bare QEMU (`bareshares.py`). Notice: from a change on the
host to the line of a watcher in the guest, with the way back of that line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import bareshares, measure, truth
from bench.seat import BOOTED, CONFIG, GAOVM, Seat, processes, seat

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "python bench/shares.py"
MIB = 128
FILES = 2000
SMALL_FILES = 5000
#: As in the config of a seat.
MEMORY_MIB = 512
#: What each part of the work handles: MiB, or files.
PARTS = {"write": MIB, "read": MIB, "create": SMALL_FILES, "look": SMALL_FILES}
# Both sides have perl. Prints the seconds of each part, as JSON.
WORK = r"""
use strict; use Time::HiRes qw(time); use IO::Handle;
my ($dir, $mib, $files, $drop) = @ARGV; my %took; my $block = "x" x (1 << 20); my $part;
sub timed { my ($name, $work) = @_; my $t = time; $work->(); $took{$name} = time - $t }
sub slurp { open(my $f, "<", $_[0]) or die "$_[0]: $!"; 1 while sysread($f, $part, 1 << 20) }
my $large = "$dir/large";
timed write => sub { open(my $f, ">", $large) or die $!;
  for (1 .. $mib) { syswrite($f, $block) == length $block or die $! } $f->sync };
if ($drop) { open(my $f, ">", "/proc/sys/vm/drop_caches") or die $!; syswrite($f, "3") }
timed read => sub { slurp($large) };
timed again => sub { slurp($large) };
unlink $large; mkdir "$dir/small"; my @names = map { "$dir/small/$_" } 1 .. $files;
timed create => sub { for (@names) { open(my $f, ">", $_) or die $!; syswrite($f, "x" x 500) } };
timed stat => sub { for (@names) { -s $_ == 500 or die $_ } };
timed look => sub { slurp($_) for @names };
timed remove => sub { unlink $_ or die $! for @names };
rmdir "$dir/small";
print "{", join(",", map { "\"$_\":$took{$_}" } sort keys %took), "}\n";
"""
# Prints "ready", then a line for each finished write that inotify reports.
WATCHER = r"""
use strict; $| = 1; my $fd = syscall(294, 0); die $! if $fd < 0;
syscall(254, $fd, $ARGV[0], 0x8) >= 0 or die $!; open(my $in, "<&=", $fd) or die $!;
print "ready\n"; while (sysread($in, my $data, 65536)) { print "event\n" }
"""
# The options before the fix: every Python of the seat loads this before anything else.
BEFORE = """
from gaovm.vmmanager.qemu import virtiofsd
now = virtiofsd.arguments
def before(*args, **kwargs):
    words = now(*args, **kwargs)
    at = words.index("timeout=0")
    return words[: at - 1] + words[at + 1 :]
virtiofsd.arguments = before
"""


class Side:
    """One kind of share, in a VM with its own seat, or the bare host."""

    def __init__(self, name: str, place: Seat | None, project: Path) -> None:
        self.name, self.project = name, project
        self._place = place

    @property
    def env(self) -> dict[str, str]:
        if self._place is None:
            raise ValueError("the host is no VM")
        return self._place.env

    @property
    def place(self) -> Seat:
        if self._place is None:
            raise ValueError("the host is no VM")
        return self._place

    def work(self, files: int = FILES) -> dict[str, float]:
        """Return the seconds of each part of the work."""
        argv = ["perl", "-e", WORK, str(self.project), str(MIB), str(files)]
        if self._place is None:
            output = subprocess.run([*argv, "0"], check=True, capture_output=True).stdout
        else:
            output = self._place.run("exec", "--", *argv, "1", cwd=self.project)
        took: dict[str, float] = json.loads(output)
        print(f"  {self.name}: {took}", file=sys.stderr)
        return took


@contextlib.contextmanager
def vm(name: str, kind: str, *, before: bool = False, more: str = "") -> Iterator[Side]:
    """Run a VM that shares its project directory by this kind."""
    with seat() as place:
        if before:
            (place.base / "sitecustomize.py").write_text(BEFORE)
            place.env["PYTHONPATH"] = str(place.base)
        project = place.project(name, CONFIG + f'mountType: "{kind}"\n{more}')
        place.run("up", cwd=project)
        if before and any("timeout=0" in line for line in processes(place.home).values()):
            raise RuntimeError("the share server runs with today's options")
        place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        yield Side(name, place, project)


def tell(side: Side, tries: int) -> None:
    """Report a side's truth as one figure."""
    places = [side.project / "by-host", side.project / "by-guest"]
    for place in places:
        place.mkdir()
    guest = truth.Guest([GAOVM], side.project, side.env)
    found: dict[str, dict[str, object]] = {}
    try:
        host, inside = (truth.Tries(guest, place, truth.SIZES) for place in places)
        large = truth.Tries(guest, places[0], (truth.LARGE,))
        quiet = {"host_to_guest": host.host_writes, "guest_to_host": inside.guest_writes}
        plain = {name: work(tries // 2) for name, work in quiet.items()}
        with truth.watchers([GAOVM], side.project, side.env, places):
            watched = {
                "host_to_guest": [host.host_writes(tries // 4), large.host_writes(tries // 4)],
                "guest_to_host": [inside.guest_writes(tries // 2)],
            }
    finally:
        guest.close()
    for name, first in plain.items():
        all_of_it = [first, *watched[name]]
        wrong = sum((one.wrong for one in all_of_it), first.wrong.__class__())
        total = sum(one.tries for one in all_of_it)
        found[name] = {"tries": total, "wrong": sum(wrong.values()), "how": dict(wrong)}
    measure.report(
        f"reads right after a write, {side.name}", f"{COMMAND} --tries {tries}", **found, goal="0"
    )


def cost(sides: list[Side], runs: int) -> None:
    """Report what each side takes; the sides take turns."""
    values: dict[str, dict[str, list[float]]] = {side.name: {} for side in sides}
    for number in range(runs):
        for side in sides if number % 2 == 0 else reversed(sides):
            for part, seconds in side.work().items():
                values[side.name].setdefault(part, []).append(seconds)
    for part in ("write", "read", "again"):
        measure.report(
            f"{part} of a file of {MIB} MiB, MiB/s",
            f"{COMMAND} --runs {runs}",
            **{
                name: measure.summary([MIB / seconds for seconds in parts[part]], 1)
                for name, parts in values.items()
            },
        )
    for part in ("create", "stat", "look", "remove"):
        measure.report(
            f"{part} of {FILES} files of 500 bytes, seconds",
            f"{COMMAND} --runs {runs}",
            **{name: measure.summary(parts[part], 3) for name, parts in values.items()},
        )


def speed(kind: str, runs: int) -> None:
    """Report the throughput of a share against the same share under bare QEMU, in turns."""
    with vm(f"speed-{kind}", kind) as side:
        (side.project / "work.pl").write_text(WORK)
        explained = side.place.json("explain", cwd=side.project)
        share = side.place.json("status", cwd=side.project)["mounts"][0]
        bare = bareshares.BareShare(explained, share, MEMORY_MIB)
        both: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
        try:
            sides = {
                "ours": lambda: side.work(SMALL_FILES),
                "bare": lambda: bare.work("work.pl", str(MIB), str(SMALL_FILES), "1"),
            }
            for number in range(runs):
                for name in sides if number % 2 == 0 else reversed(sides):
                    both[name].append(sides[name]())
                    print(f"  {kind} {name}: {both[name][-1]}", file=sys.stderr)
        finally:
            bare.close()
    for part, amount in PARTS.items():
        rates = {name: [amount / took[part] for took in found] for name, found in both.items()}
        measure.report(
            f"{part} by {kind}, {'MiB' if amount == MIB else 'files'}/s, against bare QEMU",
            f"{COMMAND} --only speed --runs {runs}",
            **{name: measure.summary(values, 1) for name, values in rates.items()},
            ratio=measure.ratio(rates["ours"], rates["bare"]),
            goal=">= 0.95",
        )


def notice(runs: int) -> None:
    """Report how long a change on the host takes to reach a watcher in the guest."""
    with vm("notice", "virtiofs", more="mountInotify: true\n") as side:
        file = side.project / "file"
        file.write_text("0")
        argv = [GAOVM, "exec", "--", "perl", "-e", WATCHER, str(side.project)]
        watcher = subprocess.Popen(argv, cwd=side.project, env=side.env, stdout=subprocess.PIPE)
        took = []
        try:
            lines = iter(watcher.stdout or ())
            next(lines)
            for _ in range(runs * 20):
                time.sleep(0.3)  # no change is told together with the last one
                begin = time.perf_counter()
                with file.open("r+b", buffering=0) as opened:
                    opened.write(b"x")
                next(lines)
                took.append((time.perf_counter() - begin) * 1000)
        finally:
            watcher.kill()
            watcher.wait()
    measure.report(
        "host edit to inotify event in the guest, ms (with the event's way back to the host)",
        f"{COMMAND} --only notice --runs {runs}",
        ms=measure.summary(took, 1),
        p95=round(sorted(took)[int(len(took) * 0.95)], 1),
        goal="<= 100",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--only", choices=("truth", "speed", "notice"))
    options = parser.parse_args()
    if options.only in (None, "notice"):
        notice(options.runs)
    if options.only in (None, "speed"):
        for kind in ("virtiofs", "9p"):
            speed(kind, options.runs)
    if options.only in (None, "truth"):
        truths(options)


def truths(options: argparse.Namespace) -> None:
    """Report the truth and the cost of each kind."""
    with contextlib.ExitStack() as stack:
        virtiofs = stack.enter_context(vm("virtiofs", "virtiofs"))
        nine_p = stack.enter_context(vm("9p", "9p"))
        before = stack.enter_context(vm("before", "virtiofs", before=True))
        bare = before.project.parent / "bare"
        bare.mkdir()
        cost([virtiofs, before, nine_p, Side("host", None, bare)], options.runs)
        for side in (virtiofs, nine_p):
            tell(side, options.tries)
        tell(before, min(options.tries, 100))


if __name__ == "__main__":
    main()
