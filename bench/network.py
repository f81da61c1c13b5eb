"""The guest's network by passt against QEMU's slirp: `up --wait=agent`, and 64 MiB from the host.

Two state directories; one of the two daemons finds every program except passt. The host's server
listens on the host's own address, which both reach. The time of a download runs from the start of
the connection to its end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import BOOTED, Seat, seat

SIZE = 64 << 20


@contextlib.contextmanager
def without_passt(place: Seat) -> Iterator[Seat]:
    """Return the same seat with a PATH that has every program except passt."""
    programs = place.base / "bin"
    programs.mkdir()
    for directory in ("/usr/sbin", "/usr/bin"):
        for program in Path(directory).iterdir():
            if "passt" not in program.name:
                with contextlib.suppress(FileExistsError):
                    (programs / program.name).symlink_to(program)
    place.env["PATH"] = str(programs)
    yield place


def address() -> str:
    """Return the host's address as others see it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def boot(place: Seat, project: Path) -> float:
    place.run("stop", cwd=project)
    return measure.timed(lambda: place.run("up", "--wait=agent", cwd=project))


def download(place: Seat, project: Path, server: socket.socket) -> float:
    """Return the MB/s of one connection."""
    host, port = server.getsockname()
    command = f"cat < /dev/tcp/{host}/{port} > /dev/null"
    argv = [str(Path(sys.executable).with_name("gaovm")), "exec", "--", "bash", "-c", command]
    pid = os.posix_spawn(argv[0], argv, {**place.env, "PWD": str(project)})
    connection, _ = server.accept()
    with connection:
        begin = time.perf_counter()
        connection.sendall(bytes(SIZE))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        took = time.perf_counter() - begin
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit("the guest did not read")
    return SIZE / took / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with seat() as first, seat() as second, without_passt(second):
        sides = {"passt": (first, first.project("net")), "slirp": (second, second.project("net"))}
        for place, project in sides.values():
            place.run("up", cwd=project)
        for name, (place, project) in sides.items():
            found = place.json("status", cwd=project)["network"]["type"]
            if found != name:
                raise SystemExit(f"{name} was to be measured, {found} is in use")
        boots = measure.interleaved(
            runs,
            passt=lambda: boot(*sides["passt"]),
            slirp=lambda: boot(*sides["slirp"]),
        )
        for place, project in sides.values():
            os.chdir(project)
            place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        with socket.create_server((address(), 0)) as server:
            rates = measure.interleaved(
                runs,
                passt=lambda: _in(sides["passt"], server),
                slirp=lambda: _in(sides["slirp"], server),
            )
    for figure, values in (("up to agent-ready, s", boots), ("64 MiB from the host, MB/s", rates)):
        measure.report(
            f"network: {figure}",
            "python bench/network.py",
            passt=measure.summary(values["passt"]),
            slirp=measure.summary(values["slirp"]),
            ratio=measure.ratio(values["passt"], values["slirp"]),
        )


def _in(side: tuple[Seat, Path], server: socket.socket) -> float:
    os.chdir(side[1])
    return download(*side, server)


if __name__ == "__main__":
    main()
