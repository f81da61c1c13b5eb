"""Host ports that follow servers in a real guest: TCP, UDP, sockets, a taken port, the host's."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.world import CONFIG, SHORT_BOOT, World

#: Listens on the protocol and port that it is told, and stops; answers in capitals.
SERVER = r"""
use IO::Socket::INET; use IO::Socket::UNIX; $|=1; $SIG{CHLD}="IGNORE"; $SIG{PIPE}="IGNORE";
print "ready\n";
while(<STDIN>){
  ($do,$key,$at)=split; $at//="127.0.0.1";
  if($do eq "stop"){ kill 9,delete $pid{$key}; print "stopped\n"; next }
  my($proto,$port)=split /:/,$key,2;
  my $s = $proto eq "unix" ? IO::Socket::UNIX->new(Local=>$port,Listen=>9)
    : $proto eq "udp" ? IO::Socket::INET->new(Proto=>"udp",LocalAddr=>$at,LocalPort=>$port)
    : IO::Socket::INET->new(LocalAddr=>$at,LocalPort=>$port,Listen=>9,ReuseAddr=>1);
  if(!$s){ print "failed $!\n"; next }
  if(!($pid{$key}=fork)){
    close STDIN;
    if($proto eq "udp"){ while(defined $s->recv($b,65535)){ $s->send(uc $b) } exit }
    while($c=$s->accept){
      if(fork){ close $c; next }
      $all=""; while(sysread($c,$b,65536)){ $all.=$b } syswrite($c,uc $all); exit;
    }
  }
  close $s; print "listens\n";
}
"""


class Guest:
    """A program in the guest that listens as the test says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert self._heard() == "ready"

    def _heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def _say(self, words: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(words.encode() + b"\n")
        self._process.stdin.flush()
        return self._heard()

    def listen(self, key: str, at: str = "127.0.0.1") -> None:
        assert self._say(f"listen {key} {at}") == "listens"

    def stop(self, key: str) -> None:
        assert self._say(f"stop {key}") == "stopped"


@contextlib.contextmanager
def guest(world: World, project: Path) -> Iterator[Guest]:
    process = world.start("exec", "--", "perl", "-e", SERVER, cwd=project, stdin=subprocess.PIPE)
    try:
        yield Guest(process)
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], Any], limit_s: float = 60) -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.005)
    return found


def ask(port: int, data: bytes = b"hello") -> bytes | None:
    """Return the reply to half-closed data; None: nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as conn:
            return asked(conn, data)
    except OSError:
        return None


def asked(conn: socket.socket, data: bytes) -> bytes:
    conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
    reply = b""
    while part := conn.recv(65536):
        reply += part
    return reply


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(sock.getsockname()[1]) for sock in held]


def ports(world: World, project: Path) -> dict[int, dict[str, Any]]:
    listed = world.json("port", "ls", cwd=project)["ports"]
    return {port["guest_port"]: port for port in listed}


def rules(*entries: dict[str, Any], **own: Any) -> str:
    settings = json.dumps({"gaovm": {**own, "cmdline": SHORT_BOOT.split(": ")[1]}})
    return f"{CONFIG}vmOpts: {settings}\nportForwards: {json.dumps(entries)}\n"


@pytest.fixture
def host_server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_ports_follow_the_guests_servers(world: World, host_server: socket.socket) -> None:
    web, dns, taken = free_ports(3)
    single = host_server.getsockname()[1]
    config = rules(
        {"guestPort": 3300, "hostPort": web},
        {"guestPort": 3301, "hostPort": dns, "proto": "udp"},
        {"guestPort": 3302, "hostPort": taken},
        {"guestSocket": "/tmp/g.sock", "hostSocket": "g.sock"},
        {"guestPort": 3303, "ignore": True},
        {"guestPortRange": [3303, 3309], "hostPort": 0},
        {"ignore": True},
        hostAccess=[single],
    )
    project = world.project("following", config)
    world.run("up", "--yes", cwd=project, timeout=600)
    with guest(world, project) as inside:
        # opens and closes with its server, again and again
        for _ in range(3):
            assert ask(web) is None
            inside.listen("tcp:3300")
            assert until(lambda: ask(web)) == b"HELLO"
            inside.stop("tcp:3300")
            until(lambda: ask(web) is None)
        # half-closed streams get their replies
        inside.listen("tcp:3300", "0.0.0.0")
        until(lambda: ask(web))
        assert [ask(web, b"x" * 100_000) for _ in range(20)] == [b"X" * 100_000] * 20
        # datagrams
        inside.listen("udp:3301")
        until(lambda: ports(world, project)[3301]["state"] == "listening")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(20)
            peer.connect(("127.0.0.1", dns))
            for size in (1, 1400, 20_000):
                peer.send(b"d" * size)
                assert peer.recv(65535) == b"D" * size
        # a Unix socket
        inside.listen("unix:/tmp/g.sock")
        path = Path(world.json("status", cwd=project)["dir"]) / "sock" / "g.sock"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            assert asked(client, b"unix") == b"UNIX"
        check_taken(world, project, inside, taken)
        # ignored, and what no rule forwards
        inside.listen("tcp:3304")
        inside.listen("tcp:3303")
        inside.listen("tcp:3999", "0.0.0.0")
        until(lambda: ports(world, project).get(3304, {}).get("state") == "listening")
        assert not {3303, 3999} & ports(world, project).keys()
    check_host_port(world, project, host_server)
    world.run("destroy", "-y", cwd=project)
    assert not path.exists()


def check_taken(world: World, project: Path, inside: Guest, taken: int) -> None:
    """A taken host port is told, and opens when it is free; the VM runs on."""
    with socket.create_server(("127.0.0.1", taken)):
        inside.listen("tcp:3302")
        told = until(lambda: _with(ports(world, project), 3302, "taken"))
        assert f"{taken} is taken by" in told["problem"]
        status = world.run("status", cwd=project).stdout.decode()
        assert f"{taken} is taken by" in status and "running" in status
        events = world.run("events", "--json", cwd=project).stdout.splitlines()
        found = [each for each in map(json.loads, events) if each["type"] == "port.failed"]
        assert [each["payload"]["guest_port"] for each in found] == [3302]
    assert until(lambda: ask(taken)) == b"HELLO"


def _with(found: dict[int, dict[str, Any]], port: int, state: str) -> dict[str, Any] | None:
    return found[port] if found.get(port, {}).get("state") == state else None


def check_host_port(world: World, project: Path, server: socket.socket) -> None:
    """A single port of the host is at its name in the guest, and no other is."""
    port = server.getsockname()[1]
    text = f"exec 3<>/dev/tcp/host.lima.internal/{port}; echo hello >&3; cat <&3"
    client = world.start("exec", "--", "bash", "-c", text, cwd=project)
    with server.accept()[0] as conn:
        assert conn.recv(100) == b"hello\n"
        conn.sendall(b"from the host\n")
    assert client.communicate(timeout=60)[0] == b"from the host\n"
    other = f"exec 3<>/dev/tcp/host.lima.internal/{port % 60000 + 1}"
    assert world.run("exec", "--", "bash", "-c", other, cwd=project, check=None).returncode != 0
