"""A real guest's network: the host's loopback closed and opened, passt's death, kept ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.world import CONFIG, SHORT_BOOT, World

# Two servers on the guest's loopback only.
SERVERS = r"""
use IO::Socket::INET; $|=1; $r="";
@s=map {IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>$_,Listen=>9)||die} 7000,7001;
print "listening\n";
vec($r,fileno($_),1)=1 for @s;
while(select($w=$r,undef,undef,undef)){
  for(@s){if(vec($w,fileno($_),1)){$c=$_->accept;syswrite($c,"guest");close $c}}
}
"""
OPENED = f"""\
vmOpts: {{gaovm: {{hostAccess: true, {SHORT_BOOT}}}}}
portForwards:
  - {{guestPort: 7000, hostPort: 0}}
  - {{guestPort: 7001, hostPort: 0, guestIP: 0.0.0.0}}
  - {{ignore: true}}
"""


def outside() -> str:
    """Return the host's address as others see it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture
def servers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Run two servers on the host: on the loopback, and on the address that others see."""
    with (
        socket.create_server(("127.0.0.1", 0)) as inner,
        socket.create_server((outside(), 0)) as outer,
    ):
        for server in (inner, outer):
            server.settimeout(60)
        yield inner, outer


def connects(world: World, vm: Path, host: str, port: int, limit_s: int = 60) -> bool:
    """Whether a program in the guest gets a connection."""
    command = f"timeout {limit_s} bash -c 'exec 3<>/dev/tcp/{host}/{port}'"
    return world.run("exec", "--", "bash", "-c", command, cwd=vm, check=None).returncode == 0


def accepted(server: socket.socket) -> bool:
    """Whether a connection is waiting."""
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def carriers(world: World, vm: Path) -> list[int]:
    """Return this VM's passt processes."""
    below = [world.json("status", cwd=vm)["driver_pid"]]
    found = []
    for pid in below:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        below += map(int, children)
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/usr/bin/passt\0"):
            found.append(pid)
    return found


def test_the_hosts_loopback_is_closed_and_passt_may_die(
    world: World, vm: Path, servers: tuple[socket.socket, socket.socket]
) -> None:
    inner, outer = servers
    status = world.json("status", cwd=vm)
    assert status["network"]["type"] == "passt", "passt is not installed: run scripts/setup"
    assert connects(world, vm, *outer.getsockname())
    assert not connects(world, vm, "10.0.2.2", inner.getsockname()[1], limit_s=5)
    assert not accepted(inner)
    names = world.run("exec", "--", "getent", "hosts", "host.lima.internal", cwd=vm, check=None)
    assert names.returncode != 0

    (passt,) = carriers(world, vm)
    last = json.loads(world.run("events", "--json", cwd=vm).stdout.splitlines()[-1])["seq"]
    with world.start("events", "-f", "--json", "--since", str(last), cwd=vm) as events:
        assert events.stdout is not None
        os.kill(passt, signal.SIGKILL)
        seen: list[bytes] = []
        for line in events.stdout:
            seen.append(line)
            if b'"became ready"' in line and any(b"network.back" in old for old in seen):
                break
        events.terminate()
    assert any(b"network.lost" in line for line in seen)
    after = world.json("status", cwd=vm)
    assert (after["hypervisor_pid"], after["state"]) == (status["hypervisor_pid"], "running")
    assert connects(world, vm, *outer.getsockname())


def answer(port: int) -> bytes:
    """Return what the guest sends on a host port; nothing if the connection is reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as conn:
        try:
            return conn.recv(100)
        except ConnectionResetError:
            return b""


def ports(world: World, project: Path) -> dict[int, dict[str, Any]]:
    found = world.json("port", "ls", cwd=project)["ports"]
    return {port["guest_port"]: port for port in found}


def settled(world: World, project: Path) -> dict[int, dict[str, Any]]:
    """Return the ports when the first one is open."""
    while (found := ports(world, project))[7000]["state"] != "listening":
        time.sleep(0.01)
    return found


def test_the_host_opened_and_ports_that_stay(
    world: World, servers: tuple[socket.socket, socket.socket]
) -> None:
    inner, _ = servers
    project = world.project("opened", CONFIG + OPENED)
    world.run("up", "--yes", cwd=project, timeout=600)  # a person approves the opened loopback
    assert connects(world, project, "host.lima.internal", inner.getsockname()[1])
    assert accepted(inner)
    assert {port["state"] for port in ports(world, project).values()} == {"no_listener"}
    with world.start("exec", "--", "perl", "-e", SERVERS, cwd=project) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening\n"
        before = settled(world, project)
        # 7001 listens on the loopback only, so nothing is open for it
        assert [before[port]["state"] for port in (7000, 7001)] == ["listening", "no_listener"]
        assert answer(before[7000]["host_port"]) == b"guest"
        with pytest.raises(ConnectionRefusedError):
            answer(before[7001]["host_port"])
        server.terminate()
    world.run("restart", cwd=project, timeout=600)
    after = ports(world, project)
    assert [after[port]["host_port"] for port in (7000, 7001)] == [
        before[port]["host_port"] for port in (7000, 7001)
    ]
    world.run("destroy", "-y", cwd=project)
