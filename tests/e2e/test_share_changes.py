"""What the host changes in a share reaches watchers in the guest (``mountInotify``)."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, SHORT_BOOT, World

MOUNTS = f"""\
mountInotify: true
mountType: virtiofs
mounts:
  - location: "."
    writable: true
  - location: "../read-only"
vmOpts: {{gaovm: {{{SHORT_BOOT}}}}}
"""

# Every Debian image has perl; the numbers are of x86_64 and of sys/inotify.h. The first argument is
# the mask. Prints "ready", then a line for each event: mask, what is watched, name.
WATCHER = r"""
use strict; $| = 1; my $mask = oct shift; my %path;
my $fd = syscall(294, 0); die $! if $fd < 0;
for my $path (@ARGV) { my $wd = syscall(254, $fd, $path, $mask); die "$path: $!" if $wd < 0;
  $path{$wd} = $path }
open(my $in, "<&=", $fd) or die $!; print "ready\n";
while (sysread($in, my $data, 65536)) {
  while (length $data) { my ($wd, $mask, undef, $len) = unpack "iIII", $data;
    my $name = $len ? unpack("Z*", substr $data, 16, $len) : "-"; $data = substr $data, 16 + $len;
    printf "%x %s %s\n", $mask, $path{$wd}, $name } }
"""
# A development server as they all are: it keeps what it has read, watches the directories of its
# sources for finished writes, and reads again what has changed.
SERVER = r"""
use strict; $| = 1; my ($top) = @ARGV; my (%path, %code);
sub load { my ($file) = @_; open(my $f, "<", $file) or return; local $/; $code{$file} = <$f>;
  print "loaded ", substr($file, 1 + length $top), " ", $code{$file} =~ s/\n//gr, "\n" }
my $fd = syscall(294, 0); my @todo = ($top);
while (defined(my $dir = shift @todo)) { $path{syscall(254, $fd, $dir, 0x8)} = $dir;
  for (glob "$dir/*") { push @todo, $_ if -d; load($_) if /\.app$/ } }
open(my $in, "<&=", $fd) or die $!; print "ready\n";
while (sysread($in, my $data, 65536)) {
  while (length $data) { my ($wd, undef, undef, $len) = unpack "iIII", $data;
    my $name = unpack("Z*", substr $data, 16, $len); $data = substr $data, 16 + $len;
    load("$path{$wd}/$name") if $name =~ /\.app$/ } }
"""
MODIFY, ATTRIB, CLOSE_WRITE, CREATE, DELETE, ISDIR = 0x2, 0x4, 0x8, 0x100, 0x200, 0x40000000
EVERYTHING = f"{0xFCE:#x}"  # but reads and opens
LIMIT_S = 60


class Output:
    """The lines of a program in the guest."""

    def __init__(self, lines: queue.SimpleQueue[str]) -> None:
        self._lines = lines

    def line(self) -> str:
        return self._lines.get(timeout=LIMIT_S)

    def until(self, last: str) -> list[str]:
        """Return the lines up to this one."""
        found = []
        while (line := self.line()) != last:
            found.append(line)
        return found


@contextlib.contextmanager
def program(world: World, project: Path, source: str, *args: str) -> Iterator[Output]:
    """Run a perl program in the guest until the block ends."""
    child = world.start("exec", "--", "perl", "-e", source, *args, cwd=project)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in child.stdout or ():
            lines.put(line.decode().rstrip("\n"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield Output(lines)
    finally:
        child.kill()
        child.wait()
        reader.join()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="module")
def project(world: World) -> Iterator[Path]:
    path = world.project("watched", CONFIG + MOUNTS)
    (path / "src" / "deep").mkdir(parents=True)
    (path / "src" / "main.app").write_text("one\n")
    (path / "src" / "deep" / "part.app").write_text("one\n")
    (path / "src" / "tool").write_text("#!/bin/sh\n")
    (path / "src" / "tool").chmod(0o755)
    other = path.parent / "read-only"
    other.mkdir()
    (other / "seen").write_text("one\n")
    world.run("up", "--wait=agent", "--yes", cwd=path)
    yield path
    world.run("destroy", "-y", cwd=path)


def test_a_development_server_reloads(world: World, project: Path) -> None:
    source = project / "src"
    with program(world, project, SERVER, str(source)) as server:
        assert sorted(server.until("ready")) == ["loaded deep/part.app one", "loaded main.app one"]
        (source / "main.app").write_text("two\n")  # as most editors save
        assert server.line() == "loaded main.app two"
        (source / "deep" / "part.app.new").write_text("two\n")  # as vim may save
        (source / "deep" / "part.app.new").rename(source / "deep" / "part.app")
        assert server.line() == "loaded deep/part.app two"
        (source / "more.app").write_text("new\n")
        assert server.line() == "loaded more.app new"


def test_a_write_looks_like_one_and_leaves_the_file_alone(world: World, project: Path) -> None:
    source = project / "src"
    with program(world, project, WATCHER, EVERYTHING, str(source)) as watcher:
        watcher.until("ready")
        (source / "a").write_text("content")
        os.utime(source / "a", ns=(1, 1_600_000_000_123_456_789))
        before = (source / "a").stat()
        watcher.until(f"{MODIFY:x} {source} a")
        assert watcher.line() == f"{CLOSE_WRITE:x} {source} a"
        (source / "tool").touch()  # is never open for writing: somebody may execute it
        watcher.until(f"{ATTRIB:x} {source} tool")
        (source / "a").unlink()
        watcher.until(f"{ATTRIB | ISDIR:x} {source} -")
    assert before.st_size == 7
    assert before.st_mtime_ns == 1_600_000_000_123_456_789


def test_telling_changes_no_time_mode_or_content(world: World, project: Path) -> None:
    file = project / "src" / "kept"
    file.write_text("content")
    with program(world, project, WATCHER, EVERYTHING, str(file.parent)) as watcher:
        watcher.until("ready")
        file.chmod(0o640)
        before = file.stat()
        watcher.until(f"{CLOSE_WRITE:x} {file.parent} kept")
    after = file.stat()
    assert (after.st_mode, after.st_size) == (before.st_mode, before.st_size)
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_read_only_share_tells_attributes(world: World, project: Path) -> None:
    other = project.parent / "read-only"
    with program(world, project, WATCHER, EVERYTHING, str(other)) as watcher:
        watcher.until("ready")
        (other / "seen").write_text("two\n")
        assert watcher.line() == f"{ATTRIB:x} {other} seen"
    done = world.run("exec", "--user=root", "--", "touch", str(other / "new"), cwd=project, check=1)
    assert b"ead-only" in done.stderr


def test_what_the_guest_does_is_told_once(world: World, project: Path) -> None:
    """A tool that answers a change with a write would else go on for ever."""
    place = project / "made-by-guest"
    place.mkdir()
    with program(world, project, WATCHER, EVERYTHING, str(place)) as watcher:
        watcher.until("ready")
        (place / "first").write_text("host")  # from here on the agent knows of this directory
        watcher.until(f"{CLOSE_WRITE:x} {place} first")
        write = f"cd {place}; echo 1 > own; sleep 1; echo 2 >> own; sleep 1; rm own; sleep 1"
        world.run("exec", "--", "sh", "-c", write, cwd=project)
        (place / "last").write_text("host")
        seen = watcher.until(f"{CLOSE_WRITE:x} {place} last")
    own = [line for line in seen if line.endswith(" own")]
    wanted = [CREATE, MODIFY, CLOSE_WRITE, MODIFY, CLOSE_WRITE, DELETE]
    assert own == [f"{mask:x} {place} own" for mask in wanted]


def test_a_link_in_the_guest_leads_the_agent_nowhere(world: World, project: Path) -> None:
    """The agent is root: by a link in place of a directory it would touch the guest's own files."""
    place = project / "turned"
    place.mkdir()
    (place / "shadow").write_text("host")
    swap = f"cd {project} && mv turned aside && ln -s /etc turned && stat -c %a:%s /etc/shadow"
    before = world.run("exec", "--user=root", "--", "sh", "-c", swap, cwd=project).stdout
    with program(world, project, WATCHER, EVERYTHING, str(project), "/etc") as watcher:
        watcher.until("ready")
        (project / "aside" / "shadow").write_text("again")
        (project / "done").write_text("1")
        seen = watcher.until(f"{CLOSE_WRITE:x} {project} done")
    assert not [line for line in seen if " /etc " in line]
    look = world.run("exec", "--", "stat", "-c", "%a:%s", "/etc/shadow", cwd=project).stdout
    assert look == before


def test_many_files_at_once_and_the_drivers_memory(world: World, project: Path) -> None:
    place = project / "many"
    place.mkdir()
    with program(world, project, WATCHER, f"{CLOSE_WRITE:#x}", str(place)) as watcher:
        watcher.until("ready")
        began = time.monotonic()
        for number in range(600):
            (place / f"f{number}").write_text("1")
        names = {f"f{number}" for number in range(600)}
        while names and time.monotonic() - began < LIMIT_S:
            names.discard(watcher.line().split()[-1])
    assert not names
