"""Provisioning, probes and sessions on the fake hypervisor, whose exec runs on this host."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from tests.process.driver.backends import EVERY_BACKEND
from tests.process.driver.harness import STEP_S, Session, Zygote, launch_request, quiet_port
from tests.process.driver.test_lifecycle import up

from gaovm import errors
from gaovm.model.phases import BEFORE_AGENT

pytestmark = EVERY_BACKEND


def script(text: str, name: str = "provision[0]") -> dict[str, str]:
    return {"name": name, "mode": "system", "script": text}


async def test_scripts_run_in_order_and_are_logged(zygote: Zygote, base: Path) -> None:
    scripts = [script("#!/bin/sh\necho first"), script("echo second; echo err >&2", "b")]
    link = await up(zygote, base, {"guest": {"provision": scripts}})
    await link.until(readiness="ready")
    order = [state["readiness"] for state in link.states]
    assert order == ["booting", "agent", "provisioning", "ready"]
    log = (base / "vm" / "provision.log").read_text()
    assert log.index("first") < log.index("second") < log.index("err")
    assert any("first" in item["message"] for item in link.progress)


async def test_scripts_and_probes_get_their_params(zygote: Zygote, base: Path) -> None:
    env = {"PARAM_level": "high or low"}
    one = {**script("#!/bin/sh\necho level: $PARAM_level"), "env": env}
    text = '#!/bin/sh\ntest "$PARAM_level" = "high or low"'
    probe = {"description": "level", "script": text, "env": env}
    link = await up(zygote, base, {"guest": {"provision": [one], "probes": [probe]}})
    await link.until(readiness="ready")
    assert "level: high or low" in (base / "vm" / "provision.log").read_text()


async def test_a_failing_script_stops_the_rest_and_leaves_the_vm_up(
    zygote: Zygote, base: Path
) -> None:
    mark = base / "mark"
    scripts = [script("for i in $(seq 30); do echo line$i; done; exit 3"), script(f"touch {mark}")]
    link = await up(zygote, base, {"guest": {"provision": scripts}})
    state = await link.until(readiness="degraded")
    details = state["error"]["details"]
    assert state["error"]["code"] == "provision_failed"
    assert (details["script"], details["status"]) == ("provision[0]", 3)
    assert details["tail"] == [f"line{i}" for i in range(11, 31)]
    assert not mark.exists()
    session = await Session.open(link, "exec")
    assert (await session.exec(["/bin/true"]))[0] == 0
    session.close()


@pytest.mark.parametrize("zygote", [{"env": {"GAOVM_PROBE_TIMEOUT_S": "0.5"}}], indirect=True)
async def test_a_probe_that_never_passes(zygote: Zygote, base: Path) -> None:
    probe = {"description": "web answers", "script": "#!/bin/sh\nexit 1", "hint": "see the log"}
    link = await up(zygote, base, {"guest": {"probes": [probe]}})
    state = await link.until(readiness="degraded")
    assert state["error"]["code"] == "probe_failed"
    assert state["error"]["remedy"] == "see the log"


async def test_a_ticket_is_good_once(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    opened = await link.call("session.open", {"ttl_s": 30})
    path, ticket = opened["socket"], opened["ticket"]
    assert Path(path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.AuthError):
        await Session.present(path, "0" * 64, "exec")
    session = await Session.present(path, ticket, "exec")
    assert await session.exec(["/bin/cat"], stdin=b"a\0b") == (0, b"a\0b")
    session.close()
    with pytest.raises(errors.AuthError):
        await Session.present(path, ticket, "exec")
    late = await link.call("session.open", {"ttl_s": 0.05})
    await asyncio.sleep(0.1)
    with pytest.raises(errors.AuthError):
        await Session.present(path, late["ticket"], "exec")
    other = await link.call("session.open", {"ttl_s": 30})
    with pytest.raises(errors.InvalidParams):
        await Session.present(path, other["ticket"], "shell")


async def test_a_ticket_opens_what_it_was_asked_for_alone(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    for kind, streams in (
        ("exec", ("copy-out", "copy-in", "tunnel", "ssh")),
        ("copy", ("exec",)),
        ("ssh", ("exec",)),
    ):
        for stream in streams:
            opened = await link.call("session.open", {"ttl_s": 30, "kind": kind})
            with pytest.raises(errors.AuthError, match=f"ticket is for {kind}, not for"):
                await Session.present(opened["socket"], opened["ticket"], stream)
            with pytest.raises(errors.AuthError):  # the attempt has used it up
                await Session.present(opened["socket"], opened["ticket"], kind)
    opened = await link.call("session.open", {"ttl_s": 30, "kind": "exec"})
    session = await Session.present(opened["socket"], opened["ticket"], "exec")
    assert (await session.exec(["/bin/true"]))[0] == 0
    session.close()


async def test_an_ssh_connection_is_raw_after_its_first_frames(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    opened = await link.call("session.open", {"ttl_s": 30, "kind": "ssh"})
    session = await Session.present(opened["socket"], opened["ticket"], "ssh")
    await session.send(1, b"{}")
    data = b"SSH-2.0-client\r\n" + bytes(range(256)) * 100
    await asyncio.get_running_loop().sock_sendall(session.sock, data)
    session.sock.shutdown(socket.SHUT_WR)
    assert (await session.frame())[0] == 0x11
    assert await session.exactly(len(data)) == data
    with pytest.raises(EOFError):
        await session.exactly(1)
    session.close()


async def test_the_session_ends_without_exit_when_the_guest_goes(
    zygote: Zygote, base: Path
) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    session = await Session.open(link, "exec")
    await session.send(1, b'{"argv":["/bin/cat"]}')
    await link.call("vm.stop", {"grace_s": 0, "force_s": 1})
    kinds = []
    with pytest.raises((EOFError, ConnectionResetError)):
        async with asyncio.timeout(STEP_S):
            while True:  # that it has started may have been told before
                kinds.append((await session.frame())[0])
    assert 0x14 not in kinds
    session.close()


async def test_any_free_port_is_the_one_of_the_last_start_if_it_is_free(
    zygote: Zygote, base: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone, kept = taken.getsockname()[1], quiet_port()
        rules = [{"guest_port": 80}, {"guest_port": 81}, {"guest_port": 82, "host_port": kept}]
        request = launch_request(
            base, {"network": {"forwards": rules[:2]}}, host_ports=[gone, kept]
        )
        link = await zygote.fork("test", base / "vm" / "driver.log")
        first, second = (await link.call("vm.configure", request))["ports"]
        assert first["host_port"] not in (0, gone) and first["lost_host_port"] == gone
        assert (second["host_port"], second["lost_host_port"]) == (kept, None)
        # a forward with a fixed port gets it before those that take any, wherever it stands
        request = launch_request(base, {"network": {"forwards": rules}}, host_ports=[0, kept, 0])
        fixed, _, other = (await link.call("vm.configure", request))["ports"]
        assert (fixed["guest_port"], fixed["host_port"]) == (82, kept)
        assert (other["guest_port"], other["lost_host_port"]) == (81, kept)


async def test_ports_are_added_listed_and_removed(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    added = await link.call("ports.add", {"guest_port": 80})
    assert added["source"] == "added"
    assert (await link.call("ports.list"))["ports"] == [added]
    with pytest.raises(errors.NotFound):
        await link.call("ports.remove", {"guest_port": 81})
    elsewhere = {"host_port": added["host_port"], "host_ip": "127.0.0.9"}
    with pytest.raises(errors.NotFound):
        await link.call("ports.remove", elsewhere)
    removed = await link.call("ports.remove", {"host_port": added["host_port"]})
    assert removed["removed"] == [added]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", added["host_port"])


@pytest.mark.parametrize("zygote", [{"agent": "unbooted"}], indirect=True)
async def test_a_guest_whose_distribution_does_not_boot_is_not_ready(
    zygote: Zygote, base: Path
) -> None:
    link = await up(zygote, base)
    state = await link.until(readiness="degraded")
    assert state["error"]["code"] == "boot_failed"
    assert "has not finished booting" in state["error"]["message"]
    assert "ready" not in [told["readiness"] for told in link.states]


@pytest.mark.parametrize("zygote", [{"agent": "failed-unit"}], indirect=True)
async def test_a_failed_unit_is_told_and_the_guest_is_ready(zygote: Zygote, base: Path) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    told = [item["message"] for item in link.progress if item["phase"] == "system"]
    assert "the distribution has booted, failed units: web.service" in told
    phases = [item["phase"] for item in link.progress]
    later = phases[phases.index("agent") :]
    assert "system" in later
    assert not set(later) & set(BEFORE_AGENT), "a Ctrl-C would undo a guest that answers"


async def test_scripts_run_again_and_others_in_their_place(zygote: Zygote, base: Path) -> None:
    mark = base / "mark"
    link = await up(zygote, base, {"guest": {"provision": [script("exit 3")]}})
    await link.until(readiness="degraded")
    again = {"provision": [script(f"echo mended >> {mark}")], "probes": []}
    await link.call("guest.provision", again)
    await link.until(readiness="ready")
    assert mark.read_text() == "mended\n"
    order = [state["readiness"] for state in link.states]
    assert order[-3:] == ["agent", "provisioning", "ready"]
    session = await Session.open(link, "exec")
    assert (await session.exec(["/bin/true"]))[0] == 0
    session.close()


async def test_scripts_do_not_run_twice_at_once(zygote: Zygote, base: Path) -> None:
    gate = base / "gate"
    os.mkfifo(gate)
    link = await up(zygote, base, {"guest": {"provision": [script(f"cat {gate}")]}})
    await link.until(readiness="provisioning")
    with pytest.raises(errors.StateConflict, match="still being set up"):
        await link.call("guest.provision", {"provision": [], "probes": []})
    await asyncio.to_thread(gate.write_text, "go\n")
    await link.until(readiness="ready")
