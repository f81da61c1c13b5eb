"""passt in a VM, and a guest that tries what the guest's kernel would not do for it."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import struct
from pathlib import Path

import pytest
from tests.process.driver import harness
from tests.process.driver.harness import Zygote

from gaovm.builder import network as card
from gaovm.hostfacts import programs
from gaovm.vmmanager.qemu.network import passt

MAC = bytes.fromhex("525400123456")
GUEST = ipaddress.ip_address(card.GUEST).packed


class Guest:
    """A guest's network card; the test writes every byte of it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._peer = b"\xff" * 6

    async def send(self, frame: bytes) -> None:
        data = len(frame).to_bytes(4, "big") + frame
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._exactly(int.from_bytes(await self._exactly(4), "big"))

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = await asyncio.get_running_loop().sock_recv(self._sock, count - len(data))
            assert part, "passt has gone"
            data += part
        return data

    async def ask_who_is_the_gateway(self) -> None:
        """Ask by ARP until an answer comes: then earlier frames have been handled too."""
        gateway = ipaddress.ip_address(card.GATEWAY).packed
        head = b"\xff" * 6 + MAC + struct.pack("!HHHBBH", 0x806, 1, 0x800, 6, 4, 1)
        await self.send(head + MAC + GUEST + bytes(6) + gateway)
        while (frame := await self.receive())[12:14] != b"\x08\x06":
            pass
        self._peer = frame[6:12]

    async def connect(self, target: str, port: int) -> None:
        """Send the first packet of a TCP connection."""
        address = ipaddress.ip_address(target).packed
        tcp = struct.pack("!HHIIBBHHH", 41000, port, 1000, 0, 0x50, 2, 65535, 0, 0)
        sum_of = GUEST + address + struct.pack("!BBH", 0, 6, len(tcp)) + tcp
        tcp = tcp[:16] + checksum(sum_of) + tcp[18:]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + GUEST + address
        head = head[:10] + checksum(head) + head[12:]
        await self.send(self._peer + MAC + b"\x08\x00" + head + tcp)


def checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return int(~total & 0xFFFF).to_bytes(2, "big")


@pytest.mark.parametrize("opened", [False, True])
async def test_the_hosts_loopback_is_closed_to_every_frame_unless_it_is_opened(
    opened: bool,
) -> None:
    found = programs.passt()
    assert found is not None and found.usable, "passt is not installed: run scripts/setup"
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        running = passt.run(found.path, theirs, host_access=opened, output=2)
        async with asyncio.timeout(harness.STEP_S), running:
            theirs.close()
            guest = Guest(ours)
            await guest.ask_who_is_the_gateway()
            port = server.getsockname()[1]
            for target in ("127.0.0.1", "127.1.2.3", "0.0.0.0"):
                await guest.connect(target, port)
                await guest.ask_who_is_the_gateway()
                await guest.ask_who_is_the_gateway()
            with pytest.raises(BlockingIOError):
                server.accept()
            await guest.connect(card.GATEWAY, port)
            await guest.ask_who_is_the_gateway()
            await guest.ask_who_is_the_gateway()
            if opened:
                (await asyncio.get_running_loop().sock_accept(server))[0].close()
            else:
                with pytest.raises(BlockingIOError):
                    server.accept()


async def test_a_passt_that_dies_is_followed_by_another(zygote: Zygote, base: Path) -> None:
    (base / "vm").mkdir()
    link = await zygote.fork("test", base / "vm" / "driver.log")
    chosen = await link.call("vm.configure", harness.launch_request(base))
    assert chosen["network"]["type"] == "passt"
    await link.call("vm.start")
    await link.until(readiness="ready")
    first = await carrier(link)
    os.kill(first, signal.SIGKILL)
    lost = await link.heard("health", kind="network_lost")
    assert "passt was killed by signal 9" in lost["detail"]
    degraded = await link.until(readiness="degraded", reason="network_lost")
    assert degraded["error"]["code"] == "network_lost"
    await link.heard("health", kind="network_back")
    assert (await link.call("vm.status"))["network"]["problem"] is None
    assert link.states[-1]["readiness"] == "ready"
    second = await carrier(link)
    assert second != first
    below = harness.descendants(link.pid)
    await link.call("vm.stop", {"grace_s": 2, "force_s": 1})
    await harness.gone(below)
    await link.call("exit")
    assert list((base / "run").iterdir()) == []


async def carrier(link: harness.Link) -> int:
    """Return the pid of the process that runs passt."""
    async with asyncio.timeout(harness.STEP_S):
        while True:
            for pid in harness.descendants(link.pid):
                if b"netfilter.py" in harness.command_line(pid):
                    return pid
            await asyncio.sleep(0.05)
