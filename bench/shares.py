"""Shared directories: whether they show the truth, and what they cost.

Truth: tries of each kind and direction, half of them while a watcher in the guest reads everything
(see `truth.py`). Cost: one program, in the guest and on the bare host, writes and reads a large
file, and makes, stats, reads and removes 2,000 small ones. `before` is virtiofs with the options
that it had before the fix: the guest trusted for a second what it knew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure, truth
from bench.seat import BOOTED, CONFIG, GAOVM, Seat, processes, seat

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "python bench/shares.py"
MIB = 128
FILES = 2000
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

    def work(self) -> dict[str, float]:
        """Return the seconds of each part of the work."""
        argv = ["perl", "-e", WORK, str(self.project), str(MIB), str(FILES)]
        if self._place is None:
            output = subprocess.run([*argv, "0"], check=True, capture_output=True).stdout
        else:
            output = self._place.run("exec", "--", *argv, "1", cwd=self.project)
        took: dict[str, float] = json.loads(output)
        print(f"  {self.name}: {took}", file=sys.stderr)
        return took


@contextlib.contextmanager
def vm(name: str, kind: str, *, before: bool = False) -> Iterator[Side]:
    """Run a VM that shares its project directory by this kind."""
    with seat() as place:
        if before:
            (place.base / "sitecustomize.py").write_text(BEFORE)
            place.env["PYTHONPATH"] = str(place.base)
        project = place.project(name, CONFIG + f'mountType: "{kind}"\n')
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tries", type=int, default=1000)
    options = parser.parse_args()
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
