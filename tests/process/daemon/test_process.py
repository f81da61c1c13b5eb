"""gaovmd as a process: lock, socket, ready, signals, kills."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import struct
from pathlib import Path

from tests import measuring
from tests.process.daemon.conftest import Daemons, alive, until

from gaovm.ipc import methods


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_ready_means_listening_and_everything_is_private(daemons: Daemons) -> None:
    process = daemons.start()
    status = daemons.client().call("daemon.status")
    assert status["pid"] == process.pid
    assert status["home"] == str(daemons.home)
    assert mode(daemons.home) == 0o700
    assert mode(daemons.socket) == 0o600
    for path in daemons.home.rglob("*"):
        if not path.is_socket():
            assert mode(path) & 0o077 == 0, path


def test_a_second_daemon_of_the_same_home_leaves_with_75(daemons: Daemons) -> None:
    first = daemons.start()
    second = daemons.popen()
    _, err = second.communicate(timeout=20)
    assert second.returncode == 75
    assert f"already running, pid {first.pid}".encode() in err
    assert daemons.client().call("ping")["ok"] is True


def test_sigterm_ends_it_and_leaves_nothing(daemons: Daemons) -> None:
    process = daemons.start()
    client = daemons.client()
    until(lambda: client.call("daemon.status")["zygote_pid"])
    zygote = client.call("daemon.status")["zygote_pid"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not daemons.socket.exists()
    assert not alive(zygote)
    assert client.at_end()


def test_daemon_stop_over_the_socket(daemons: Daemons) -> None:
    process = daemons.start()
    assert daemons.client().call("daemon.stop") == {"stopping": True}
    assert process.wait(20) == 0
    daemons.start()


def test_kill_9_leaves_no_process_and_a_harmless_socket(daemons: Daemons) -> None:
    process = daemons.start()
    client = daemons.client()
    until(lambda: client.call("daemon.status")["zygote_pid"])
    zygote = client.call("daemon.status")["zygote_pid"]
    process.kill()
    process.wait(20)
    until(lambda: not alive(zygote))
    assert daemons.socket.exists()
    daemons.start()
    assert daemons.client().call("ping")["ok"] is True


def test_a_foreign_file_at_the_socket_path_is_replaced(daemons: Daemons) -> None:
    daemons.home.mkdir(mode=0o755)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(daemons.socket))
    stale.close()
    daemons.start()
    assert mode(daemons.home) == 0o700


def test_a_killed_zygote_is_replaced(daemons: Daemons) -> None:
    daemons.start()
    client = daemons.client()
    until(lambda: client.call("daemon.status")["zygote_pid"])
    first = client.call("daemon.status")["zygote_pid"]
    os.kill(first, signal.SIGKILL)
    until(lambda: client.call("daemon.status")["zygote_pid"] not in (None, first))
    assert not alive(first)


def test_a_damaged_database_is_named_and_the_next_start_is_fresh(daemons: Daemons) -> None:
    daemons.home.mkdir()
    for name in ("state.db", "state.backup.db"):
        (daemons.home / name).write_bytes(b"garbage " * 1000)
    process = daemons.popen()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"state.db is damaged" in err
    assert b"state.db.corrupt-" in err
    assert not daemons.socket.exists()
    daemons.start()
    assert daemons.client().call("vm.list") == {"vms": []}


def test_a_newer_database_is_refused(daemons: Daemons) -> None:
    process = daemons.start()
    process.terminate()
    process.wait(20)
    with sqlite3.connect(daemons.home / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused = daemons.popen()
    _, err = refused.communicate(timeout=20)
    assert (refused.returncode, b"revision 99" in err) == (1, True)


def test_wrong_words_are_usage(daemons: Daemons) -> None:
    process = daemons.popen("--nonsense")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"--nonsense" in err


def test_a_client_can_only_lose_its_own_connection(daemons: Daemons) -> None:
    daemons.start()
    good = daemons.client()
    for bad in (
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 0),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 9) + b"not json!",
    ):
        other = daemons.client()
        other.sock.sendall(bad)
        assert other.at_end(), bad
    assert good.call("ping")["ok"] is True


def test_errors_have_code_and_remedy(daemons: Daemons) -> None:
    daemons.start()
    client = daemons.client()
    error = client.call("vm.start", {"name": "nothing"})
    assert error["code"] == -32602
    assert error["data"]["code"] == "vm_not_found"
    assert error["data"]["remedy"]
    error = client.call("vm.stop", {"name": 5})
    assert (error["code"], error["data"]["field"]) == (-32602, "name")
    assert client.call("nope")["code"] == -32601


def test_a_config_with_problems_creates_nothing(daemons: Daemons, tmp_path: Path) -> None:
    daemons.start()
    client = daemons.client()
    params = {
        "project_dir": str(tmp_path),
        "config_path": ".lima/config.yaml",
        "config_text": "images: [{location: 'debian:12'}]\nmemory: 512\ncpuz: 2\n",
        "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": ""},
    }
    error = client.call("vm.up", params)
    assert error["data"]["code"] == "config_invalid"
    lines = [problem["line"] for problem in error["data"]["details"]["problems"]]
    assert lines == [2, 3]
    assert client.call("vm.list") == {"vms": []}


def test_an_image_that_cannot_be_found_leaves_a_first_up_that_failed(
    daemons: Daemons, tmp_path: Path
) -> None:
    process = daemons.start()
    client = daemons.client()
    params = {
        "name": "broken",
        "project_dir": str(tmp_path),
        "config_path": ".lima/config.yaml",
        "config_text": f"images: [{{location: '/no/such', digest: 'sha256:{'0' * 64}'}}]\n",
        "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": ""},
    }
    needed = client.call("vm.up", params)["data"]  # a file outside its project
    assert needed["code"] == "approval_needed"
    assert client.call("vm.list") == {"vms": []}
    params["approve"] = needed["details"]["digest"]
    assert client.call("vm.up", params)["data"]["code"] == "not_found"
    assert client.call("vm.status", {"name": "broken"})["state"] == "first-up-failed"
    process.kill()
    process.wait(20)
    daemons.start()
    client = daemons.client()
    assert client.call("vm.status", {"name": "broken"})["state"] == "first-up-failed"
    assert client.call("vm.destroy", {"name": "broken"})["name"] == "broken"
    assert client.call("vm.list") == {"vms": []}


def test_an_unknown_image_creates_nothing(daemons: Daemons, tmp_path: Path) -> None:
    daemons.start()
    client = daemons.client()
    params = {
        "name": "broken",
        "project_dir": str(tmp_path),
        "config_path": ".lima/config.yaml",
        "config_text": "images: [{location: 'nosuch:1'}]\n",
        "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": ""},
    }
    error = client.call("vm.up", params)
    assert error["data"]["code"] == "image_unknown"
    assert error["data"]["field"] == "images[0].location"
    assert error["message"].startswith(".lima/config.yaml:1: images[0].location: ")
    mount = "images: [{location: 'debian:12'}]\nmounts:\n- location: /no/such\n"
    error = client.call("vm.up", {**params, "config_text": mount})
    assert error["message"].startswith(".lima/config.yaml:3: mounts[0].location: /no/such is no")
    assert client.call("vm.list") == {"vms": []}


def test_old_clients_are_served_on_the_same_socket(daemons: Daemons) -> None:
    daemons.start()
    client = daemons.client(methods.LEGACY)
    assert client.hello["protocol"] == "gaovm.v1.2"
    assert client.hello["capabilities"] == list(methods.LEGACY_METHODS)
    assert client.their_hello["id"] == -1
    assert client.their_hello["params"]["requiredCapabilities"] == ["hello", "ping"]
    assert client.call("list_vms") == []
    assert client.call("vm.status")["code"] == -32602
    assert client.call("vm.open_display")["code"] == -32602  # there is no such VM
    assert client.call("nope") == {"code": -32601, "message": "Unknown method: nope"}
    assert client.call("subscribe_events") == {"ok": True}


def test_idle_means_idle(daemons: Daemons) -> None:
    daemons.env = measuring.OFF
    process = daemons.start()
    client = daemons.client()
    until(lambda: client.call("daemon.status")["zygote_pid"])
    assert client.call("daemon.status")["rss_bytes"] < 60 << 20

    def quiet() -> bool:
        before = context_switches(process.pid)
        signal.sigtimedwait([], 1.0)
        return context_switches(process.pid) == before

    # On a busy host the zygote may still be warming up: its message wakes the daemon once.
    until(quiet, 20.0)


def context_switches(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError


def test_the_old_handshake_errors_have_their_exact_form(daemons: Daemons) -> None:
    daemons.start()
    raw = daemons.client(methods.LEGACY)
    assert raw.hello["acceptedCapabilities"] == [
        name for name in methods.LEGACY_METHODS if name in raw.hello["capabilities"]
    ]
    other = socket.socket(socket.AF_UNIX)
    other.settimeout(20)
    other.connect(str(daemons.socket))
    raw.sock.close()
    raw.sock = other
    raw.send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    early = raw.receive()["error"]
    assert early["code"] == -32010
    assert early["message"] == "hello handshake required before method ping"
    hello = {"protocol": "gaovm.v1.1", "capabilities": [], "requiredCapabilities": []}
    raw.send({"jsonrpc": "2.0", "id": 2, "method": "hello", "params": hello})
    assert raw.receive()["error"] == {
        "code": -32010,
        "message": "Protocol mismatch",
        "data": {"expected": "gaovm.v1.2", "actual": "gaovm.v1.1"},
    }
    assert raw.at_end()
