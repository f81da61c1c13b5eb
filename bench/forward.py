"""Forwarded ports: one stream from the guest against QEMU's hostfwd; half-close; how soon a port
opens and closes with its server.

Both sides have the same kernel, disk and server, and take turns. Theirs is bare QEMU with
`-netdev user,hostfwd=…`. The time of a stream runs from the connection to its last byte. The time
until a port opens runs from the order to listen, which goes through `gaovm exec`, until a host
client is connected; the time until it closes runs from the order to stop until one is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.bare import BareVm
from bench.seat import CONFIG, Seat, seat

from gaovm.hostfacts import listeners

MIB = 64
PORT = 9000
#: Sends MIB; in another port, answers a client that has ended its side with the size it sent.
SERVER = r"""
use IO::Socket::INET; $SIG{CHLD}="IGNORE"; $SIG{PIPE}="IGNORE";
sub serve { IO::Socket::INET->new(LocalAddr=>"0.0.0.0",LocalPort=>$_[0],Listen=>200,ReuseAddr=>1) }
$block="\0" x 65536;
if(fork){
  $s=serve(PORT) || die;
  while($c=$s->accept){ for(1..16*MIB){ defined(syswrite($c,$block)) or last } close $c }
}
$s=serve(PORT+1) || die;
while($c=$s->accept){
  if(fork){ close $c; next }
  $n=0; while($r=sysread($c,$b,65536)){$n+=$r} syswrite($c,"got $n"); exit;
}
"""
UNIT = """\
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/perl /root/server.pl
[Install]
WantedBy=sysinit.target
"""
#: Listens and stops as it is told on its stdin.
FOLLOWED = r"""
use IO::Socket::INET; $|=1; print "ready\n";
while(<STDIN>){
  if(/open/){$s=IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>9100,Listen=>9,ReuseAddr=>1)||die}
  else{close $s}
}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def stream(port: int) -> float:
    """Return the MB/s of one connection."""
    view = memoryview(bytearray(1 << 20))
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as conn:
        left = MIB << 20
        while left:
            count = conn.recv_into(view)
            if not count:
                raise SystemExit(f"the stream ended {left} bytes too early")
            left -= count
    return (MIB << 20) / (time.perf_counter() - begin) / 1e6


def half_closed(port: int) -> bool:
    """Whether a client that has ended its side gets its reply."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as conn:
        conn.sendall(b"x" * 1000)
        conn.shutdown(socket.SHUT_WR)
        reply = b""
        with contextlib.suppress(ConnectionResetError):
            while part := conn.recv(100):
                reply += part
    return reply == b"got 1000"


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listens(port: int) -> bool:
    """Whether the host has a listener; a connection would go into the guest and take its time."""
    return any(each.port == port for each in listeners.parse(Path("/proc/net/tcp").read_text()))


def until_open(port: int) -> float:
    """Return the seconds until a client is connected."""
    begin = time.perf_counter()
    while not connects(port):
        time.sleep(0.001)
    return time.perf_counter() - begin


def until_closed(port: int) -> float:
    """Return the seconds until a client is refused."""
    begin = time.perf_counter()
    while listens(port) or connects(port):
        time.sleep(0.002)
    return time.perf_counter() - begin


def with_hostfwd(explained: dict[str, Any], port: int) -> dict[str, Any]:
    """Return the VM's own command line with QEMU's user network in place of its carrier."""
    argv = list(explained["argv"])
    at = argv.index("-netdev") + 1
    name = re.search(r"""\bid["']?\s*[=:]\s*["']?([\w.-]+)""", argv[at])
    if name is None:
        raise SystemExit(f"no id in -netdev {argv[at]}")
    argv[at] = f"user,id={name[1]},hostfwd=tcp:127.0.0.1:{port}-:{PORT}"
    return {**explained, "argv": argv}


@contextlib.contextmanager
def bare(explained: dict[str, Any], port: int) -> Iterator[None]:
    """Run bare QEMU until its guest's server answers through hostfwd."""
    vm = BareVm(with_hostfwd(explained, port))
    try:
        for name in vm.ours:
            vm.drain(name)
        end = time.monotonic() + 300
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=5) as probe,
            ):
                if probe.recv(1):
                    break
            time.sleep(0.2)
        yield
    finally:
        vm.close()


def install(place: Seat, project: Path) -> None:
    text = SERVER.replace("PORT", str(PORT)).replace("MIB", str(MIB))
    script = (
        "cat > /root/server.pl && cat > /etc/systemd/system/forward.service <<'E'\n"
        f"{UNIT}E\nsystemctl daemon-reload; systemctl enable --now forward.service; sync"
    )
    argv = [str(Path(sys.executable).with_name("gaovm")), "exec", "--user", "root", "--"]
    subprocess.run(
        [*argv, "sh", "-c", script], input=text.encode(), cwd=project, env=place.env, check=True
    )


def latencies(place: Seat, project: Path, port: int, runs: int) -> None:
    argv = [str(Path(sys.executable).with_name("gaovm")), "exec", "--", "perl", "-e", FOLLOWED]
    opened: list[float] = []
    closed: list[float] = []
    with subprocess.Popen(
        argv, cwd=project, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdout.readline()
        for _ in range(runs):
            for word, until, values in (
                (b"open\n", until_open, opened),
                (b"stop\n", until_closed, closed),
            ):
                server.stdin.write(word)
                server.stdin.flush()
                values.append(until(port))
                time.sleep(0.3)
        server.stdin.close()
    measure.report(
        "a new guest listener reachable on the host; closed again",
        "python bench/forward.py",
        opened_s=measure.summary(opened),
        closed_s=measure.summary(closed),
        goal="<= 0.150",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    ports = [free_port() for _ in range(4)]
    rules = "portForwards:\n" + "".join(
        f"- {{guestPort: {guest}, hostPort: {host}, guestIP: {ip}}}\n"
        for guest, host, ip in (
            (PORT, ports[0], "0.0.0.0"),
            (PORT + 1, ports[1], "0.0.0.0"),
            (9100, ports[2], "127.0.0.1"),
        )
    )
    with seat() as place:
        # bare QEMU has no server for virtiofs
        project = place.project("forward", CONFIG + 'mountType: "9p"\n' + rules)
        place.run("up", cwd=project)
        install(place, project)
        until_open(ports[0])
        until_open(ports[1])
        explained = place.json("explain", cwd=project)
        latencies(place, project, ports[2], max(runs, 10))
        replies = sum(half_closed(ports[1]) for _ in range(100))
        measure.report(
            "half-closed streams that get their reply",
            "python bench/forward.py",
            replies=replies,
            of=100,
            goal="100",
        )
        place.run("stop", cwd=project)  # its disk is copied
        with bare(explained, ports[3]):
            place.run("up", cwd=project)
            until_open(ports[0])
            values = measure.interleaved(
                runs, ours=lambda: stream(ports[0]), hostfwd=lambda: stream(ports[3])
            )
    measure.report(
        f"one forwarded stream of {MIB} MiB from the guest / QEMU's hostfwd",
        "python bench/forward.py",
        ours_mb_s=measure.summary(values["ours"], 1),
        hostfwd_mb_s=measure.summary(values["hostfwd"], 1),
        ratio=measure.ratio(values["ours"], values["hostfwd"]),
        goal=">= 0.8",
    )


if __name__ == "__main__":
    main()
