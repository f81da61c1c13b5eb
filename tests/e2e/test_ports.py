"""Port forwards through the agent: reach, half-close, taken ports."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.e2e.world import CONFIG, World

# After the client's end of file, answers with the number of bytes that came.
PERL_SERVER = r"""
use IO::Socket::INET; $|=1;
$s=IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>8080,Listen=>9,ReuseAddr=>1) or die;
print "listening\n";
while($c=$s->accept){$n=0;while($r=sysread($c,$b,65536)){$n+=$r} syswrite($c,"got $n");close $c}
"""


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as conn:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        reply = b""
        while part := conn.recv(65536):
            reply += part
        return reply


def test_forward_half_close_and_remove(world: World, vm: Path) -> None:
    with world.start("exec", "--", "perl", "-e", PERL_SERVER, cwd=vm) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"listening\n"
        world.run("port", "add", "0:8080", cwd=vm)
        (port,) = [p for p in world.json("port", "ls", cwd=vm)["ports"] if p["guest_port"] == 8080]
        assert port["source"] == "added"
        assert port["host_ip"] == "127.0.0.1"
        for size in (0, 1, 100_000, 3_000_000):
            assert ask(port["host_port"], b"x" * size) == b"got %d" % size
        replies = [ask(port["host_port"], b"abc") for _ in range(20)]
        assert replies == [b"got 3"] * 20
        world.run("port", "rm", str(port["host_port"]), cwd=vm)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port["host_port"])) != 0
        # the rule that every VM has may open the server's own port in its place
        left = world.json("port", "ls", cwd=vm)["ports"]
        assert [p for p in left if p["source"] == "added"] == []
        server.terminate()


def test_taken_port_fails_before_boot_and_names_the_owner(world: World, vm: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        rule = f"portForwards: [{{guestPort: 80, hostPort: {number}, static: true}}]\n"
        project = world.project("taken", CONFIG + rule)
        done = world.run("up", cwd=project, check=1)
        text = done.stderr.decode()
        assert str(number) in text
        assert "python" in text or "pytest" in text, text
        status = world.json("status", "taken-dev")
        assert status["state"] == "first-up-failed"
        assert status["hypervisor_pid"] is None
    world.run("destroy", "-y", "taken-dev")
