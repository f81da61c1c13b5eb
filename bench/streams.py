"""exec through the client library: round trip of /bin/true, and stdout throughput.

The round trip is compared with fork+exec+wait by the agent's own code. The throughput is compared
with the same producer, piped through `dd bs=64k` straight into a second virtio port of a bare VM.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure, spawn
from bench.bare import BareVm
from bench.seat import BOOTED, CONFIG, Seat, seat

from gaovm.client import blocking, session

MIB = 256
PRODUCER = f"head -c {MIB}M /dev/zero"


def run_exec(place: Seat, name: str, argv: list[str]) -> float:
    """Return the seconds of one exec through the client library; count and drop the output."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        with blocking.connect(place.home, start=False) as client:
            begin = time.perf_counter()
            ticket = session.ask(client, {"name": name}, "exec")
            start = {"argv": argv, "env": {}, "cwd": "/", "tty": False}
            status = session.run_exec(ticket, start, stdin=null, stdout=null, stderr=null)
            took = time.perf_counter() - begin
    finally:
        os.close(null)
    if status:
        raise SystemExit(f"{argv} ended with {status}")
    return took


def round_trip(place: Seat, project: Path, runs: int) -> None:
    values = measure.interleaved(
        runs,
        exec=lambda: run_exec(place, "streams-dev", ["/bin/true"]),
        guest=lambda: spawn.times(place, project, 1)[0],
    )
    measure.report(
        "exec of /bin/true through the client library / the agent's own fork+exec+wait",
        "python bench/streams.py",
        exec_s=measure.summary(values["exec"]),
        guest_s=measure.summary(values["guest"]),
        ratio=measure.ratio(values["exec"], values["guest"]),
        goal="<= 1.5",
    )


class PortVm:
    """The same VM, bare, with a second port to which a shell in the guest writes."""

    def __init__(self, explained: dict[str, Any]) -> None:
        port = {"driver": "virtserialport", "bus": "ports.0", "nr": 2}
        port |= {"chardev": "bulk", "name": "bulk"}
        extra = ["-chardev", "socket,id=bulk,fd=<fd:bulk>", "-device", json.dumps(port)]
        argv = [*explained["argv"], *extra]
        self.vm = BareVm({**explained, "argv": argv}, extra_kernel="init=/bin/sh")
        self.vm.drain("agent")
        self.console = self.vm.ours["console"]
        self._say("mount -t devtmpfs dev /dev 2>/dev/null; echo REA''DY")
        self._hear(b"READY")

    def _say(self, line: str) -> None:
        self.console.sendall(line.encode() + b"\r")

    def _hear(self, word: bytes) -> None:
        seen = b""
        self.console.settimeout(120)
        while word not in seen:
            seen = seen[-200:] + self.console.recv(65536)

    def run(self) -> float:
        """Return the seconds until all bytes have come."""
        sock = self.vm.ours["bulk"]
        begin = time.perf_counter()
        self._say(f"for port in /dev/vport*p2; do {PRODUCER} | dd bs=64k of=$port 2>&-; done")
        left = MIB << 20
        view = memoryview(bytearray(1 << 20))
        while left:
            left -= sock.recv_into(view)
        return time.perf_counter() - begin


def throughput(place: Seat, explained: dict[str, Any], runs: int) -> None:
    bare = PortVm(explained)
    try:
        values = measure.interleaved(
            runs,
            exec=lambda: run_exec(place, "streams-dev", ["/bin/sh", "-c", PRODUCER]),
            port=bare.run,
        )
    finally:
        bare.vm.close()
    ours, theirs = ([MIB / s for s in values[name]] for name in ("exec", "port"))
    measure.report(
        f"exec stdout, {MIB} MiB / the same through dd into a virtio port",
        "python bench/streams.py",
        exec_mib_s=measure.summary(ours, 1),
        port_mib_s=measure.summary(theirs, 1),
        ratio=measure.ratio(ours, theirs),
        goal=">= 0.7",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("streams", CONFIG + 'mountType: "9p"\n')
        place.run("up", cwd=project)
        explained = place.json("explain", cwd=project)
        place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        spawn.install(place, project)
        round_trip(place, project, runs * 3)
        throughput(place, explained, runs)


if __name__ == "__main__":
    main()
