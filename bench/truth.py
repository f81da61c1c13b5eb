"""Whether a share shows the truth: what one side wrote, the other reads whole and at once.

A program in the guest takes commands through an exec session. Every try changes one file on one
side and, once that call has returned, reads it on the other side. Each file repeats one word, so a
stale, torn or short read shows. Meanwhile watchers in the guest can read everything over and over.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

KIB = 1 << 10
#: Sizes of files: less than a page, some pages, and more than fits one request.
SIZES = (800, 24 * KIB, 2048 * KIB)
LARGE = 4096 * KIB
_WORD = 8

# Every Debian image has perl. One answer a line: "ok", or what is wrong.
GUEST = r"""
use strict; use Fcntl; use Errno qw(ENOENT); $| = 1;
sub slurp { my ($path) = @_; my ($all, $part, $n) = ("", "");
  sysopen(my $f, $path, O_RDONLY) or return "open: $!";
  while ($n = sysread($f, $part, 1 << 20)) { $all .= $part }
  return defined $n ? \$all : "read: $!" }
sub look { my ($path, $word, $size) = @_; my $got = slurp($path);
  return $got unless ref $got;
  my $stat = -s $path; my $is = length $$got;
  return "cut short: $is of $size bytes" if $is < $size;
  return "too long: $is of $size bytes" if $is > $size;
  return "stale or torn" if $$got ne $word x ($size / length $word);
  return "stat: $stat of $size bytes" if $stat != $size;
  return "ok" }
sub gone { my ($path) = @_;
  return "still there" if sysopen(my $f, $path, O_RDONLY);
  return "open: $!" unless $! == ENOENT;
  return -e $path ? "stat still finds it" : "ok" }
sub put { my ($path, $word, $size, $flags) = @_;
  sysopen(my $f, $path, O_WRONLY | $flags) or return "open: $!";
  my $data = $word x ($size / length $word); my $at = 0;
  while ($at < $size) {
    my $n = syswrite($f, $data, $size - $at, $at) or return "write: $!"; $at += $n }
  return $f }
my $held;
while (my $line = <STDIN>) { chomp $line;
  my ($what, $path, $word, $size) = split / /, $line; my $answer = "ok";
  if ($what eq "look") { $answer = look($path, $word, $size) }
  elsif ($what eq "gone") { $answer = gone($path) }
  elsif ($what eq "place") { $answer = put($path, $word, $size, O_CREAT | O_TRUNC) }
  elsif ($what eq "same") { $answer = put($path, $word, $size, 0) }
  elsif ($what eq "hold") { $answer = $held = put($path, $word, $size, O_CREAT | O_TRUNC) }
  elsif ($what eq "over") { $answer = put("$path.new", $word, $size, O_CREAT | O_TRUNC);
    if (ref $answer) { close $answer; $answer = rename("$path.new", $path) ? "ok" : "rename: $!" } }
  elsif ($what eq "delete") { $answer = unlink($path) ? "ok" : "unlink: $!" }
  $answer = "ok" if ref $answer;
  print "$answer\n" }
"""
# A watcher that polls, like those of editors and build tools where notification does not work.
WATCH = r"""
use strict; my ($dir) = @ARGV;
while (1) { opendir(my $d, $dir) or next;
  for my $name (readdir $d) { my $path = "$dir/$name"; next unless -f $path;
    my @stat = stat $path; open(my $f, "<", $path) or next; my $part;
    1 while sysread($f, $part, 65536) }
}
"""


class Truth(NamedTuple):
    """The result of some tries: how many were right, and the wrong answers by kind."""

    tries: int
    wrong: Counter[str]

    @property
    def wrong_total(self) -> int:
        return sum(self.wrong.values())


class Guest:
    """The program in the guest."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self._popen = subprocess.Popen(
            [*command, "exec", "--", "perl", "-e", GUEST],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, *words: object) -> str:
        """Send one command and return its answer."""
        stdin, stdout = self._popen.stdin, self._popen.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("no pipes")
        stdin.write(" ".join(map(str, words)).encode() + b"\n")
        stdin.flush()
        answer = stdout.readline().decode().strip()
        if not answer:
            raise RuntimeError(f"the program in the guest ended, at {words}")
        return answer

    def close(self) -> None:
        self._popen.kill()
        self._popen.communicate()


@contextlib.contextmanager
def watchers(
    command: list[str], cwd: Path, env: dict[str, str], places: list[Path]
) -> Iterator[None]:
    """Run something in the guest that reads each directory's files all the time, for a block."""
    popens = [
        subprocess.Popen(
            [*command, "exec", "--", "perl", "-e", WATCH, str(place)], cwd=cwd, env=env
        )
        for place in places
    ]
    try:
        yield
    finally:
        for popen in popens:
            popen.terminate()
            popen.wait()


class Tries:
    """The tries in one direction below one directory, which has the same path on both sides."""

    def __init__(self, guest: Guest, place: Path, sizes: tuple[int, ...], seed: int = 1) -> None:
        self._guest, self._place, self._sizes = guest, place, sizes
        self._random = random.Random(seed)
        self._number = 0

    def _next(self) -> tuple[Path, str, int]:
        """Return a file for this turn, its new word, and a size."""
        self._number += 1
        path = self._place / f"file{self._random.randrange(4)}"
        return path, f"{self._number:0{_WORD}d}", self._random.choice(self._sizes)

    def host_writes(self, count: int) -> Truth:
        """Change a file on the host in each way, and read it in the guest each time."""
        wrong: Counter[str] = Counter()
        for turn in range(count):
            path, word, size = self._next()
            how = _HOST_WAYS[turn % len(_HOST_WAYS)]
            if how(path, word, size):
                size = path.stat().st_size
                answer = self._guest.ask("look", path, word, size)
            else:
                answer = self._guest.ask("gone", path)
            if answer != "ok":
                wrong[f"{how.__name__.strip('_')}: {_kind(answer)}"] += 1
        return Truth(count, wrong)

    def guest_writes(self, count: int) -> Truth:
        """Change a file in the guest in each way, and read it on the host each time."""
        wrong: Counter[str] = Counter()
        for turn in range(count):
            path, word, size = self._next()
            how = ("place", "same", "over", "hold", "delete")[turn % 5]
            if how in ("same", "delete") and not path.exists():
                how = "place"
            if how == "same":
                size = path.stat().st_size
            answer = self._guest.ask(how, path, word, size)
            if answer == "ok":
                answer = _look(path, word, size) if how != "delete" else _gone(path)
            if answer != "ok":
                wrong[f"{how}: {_kind(answer)}"] += 1
        return Truth(count, wrong)


def _kind(answer: str) -> str:
    """Return what was wrong, without its numbers."""
    return answer.split(": ")[0] if answer.startswith(("cut", "too", "stat")) else answer


def _data(word: str, size: int) -> bytes:
    return word.encode() * (size // _WORD)


def _in_place(path: Path, word: str, size: int) -> bool:
    path.write_bytes(_data(word, size))
    return True


def _same_size(path: Path, word: str, size: int) -> bool:
    if not path.exists():
        return _in_place(path, word, size)
    with path.open("r+b") as file:
        file.write(_data(word, path.stat().st_size))
    return True


def _rename_over(path: Path, word: str, size: int) -> bool:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(_data(word, size))
    beside.rename(path)
    return True


def _grow(path: Path, word: str, size: int) -> bool:
    """Write in steps, as a compiler does: who looks meanwhile sees less than all of it."""
    with path.open("wb") as file:
        for _ in range(8):
            file.write(_data(word, size // 8 // _WORD * _WORD))
            file.flush()
            os.sched_yield()
    return True


def _delete(path: Path, word: str, size: int) -> bool:
    path.unlink(missing_ok=True)
    return False


_HOST_WAYS: tuple[Callable[[Path, str, int], bool], ...] = (
    _in_place,
    _same_size,
    _rename_over,
    _grow,
    _delete,
)


def _look(path: Path, word: str, size: int) -> str:
    found = path.read_bytes()
    if len(found) != size:
        return f"cut short: {len(found)} of {size} bytes"
    return "ok" if found == _data(word, size) else "stale or torn"


def _gone(path: Path) -> str:
    return "still there" if path.exists() else "ok"
