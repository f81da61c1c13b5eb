"""A client of ``gaovm.v1.2`` that knows only frames, against a real gaovmd."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

from tests.process.daemon.conftest import LIMIT_S, Client, Daemons

from gaovm.ipc import methods

DATA = Path(__file__).resolve().parents[2] / "data" / "gaovm" / "v1.2-vectors.json"
VECTORS: dict[str, Any] = json.loads(DATA.read_text())
FRAMES = {frame["name"]: frame for frame in VECTORS["frames"]}
DIGEST = "sha256:" + 64 * "0"


def frame(name: str) -> bytes:
    (found,) = [FRAMES[key] for key in FRAMES if key.startswith(name)]
    return bytes.fromhex(found["frame_hex"])


def make_vm(daemons: Daemons, project: Path) -> None:
    """Make a VM called ``default`` whose first start fails: there is no such image."""
    project.mkdir()
    up = {
        "name": "default",
        "project_dir": str(project),
        "config_path": str(project / "c.yaml"),
        "config_text": f"images: [{{location: /nowhere/at.all, digest: {DIGEST}}}]\ndisk: 8GiB\n",
        "user": {"name": "u", "uid": 1000, "gid": 1000},
    }
    client = daemons.client()
    up["approve"] = client.call("vm.up", up)["data"]["details"]["digest"]  # it is outside
    failed = client.call("vm.up", up)
    assert "/nowhere/at.all" in failed["message"]


def test_the_handshake_is_that_of_the_vectors(daemons: Daemons) -> None:
    daemons.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(str(daemons.socket))
        hello = {
            "protocol": methods.LEGACY,
            "capabilities": ["hello", "ping", "subscribe_events"],
            "requiredCapabilities": ["hello", "ping"],
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": hello}
        body = json.dumps(message).encode()
        sock.sendall(struct.pack(">I", len(body)) + body)
        expected = frame("hello result") + frame("daemon hello")
        received = b""
        while len(received) < len(expected):
            received += sock.recv(65536)
    assert received == expected


def test_errors_are_those_of_the_vectors(daemons: Daemons) -> None:
    daemons.start()
    client = daemons.client(methods.LEGACY)
    nope = client.call("nope")
    assert nope == FRAMES["unknown method, reply"]["message"]["error"]
    disabled = client.call("driver.exec", {"method": "ping"})
    assert disabled == FRAMES["driver.exec while disabled, reply"]["message"]["error"]
    assert client.call("vm.config.get")["code"] == -32602
    assert client.call("vm.start")["code"] == -32602
    assert client.call("list_vms") == []


def test_a_config_is_read_written_told_and_mirrored(daemons: Daemons, tmp_path: Path) -> None:
    daemons.start()
    make_vm(daemons, tmp_path / "p")
    client = daemons.client(methods.LEGACY)
    assert client.call("subscribe_events") == {"ok": True}
    shown = client.call("vm.config.get")
    assert (shown["current"]["cpu"], shown["hasPending"]) == (2, False)
    assert client.call("vm.open_display")["code"] == -32603
    wrong = client.call("vm.config.patch", {"patch": {"cpu": 0}})
    assert wrong["code"] == -32602 and "patch.cpu" in wrong["message"]
    number = client.request("vm.config.set", {"config": {**shown["current"], "cpu": 4}})
    events, result = receive_all(client, number)
    assert (result["applied"], result["restartRequired"]) == (True, True)
    assert result["current"]["cpu"] == 4
    config = [event for event in events if event["type"].startswith("config.")]
    assert [event["type"] for event in config] == ["config.updated"]
    assert sorted(config[0]["payload"]) == ["applied", "restartRequired", "whileRunning"]
    mirror = daemons.home / "vms" / "default" / "config.json"
    assert json.loads(mirror.read_text())["spec"]["processors"]["count"] == 4


def receive_all(client: Client, number: int) -> tuple[list[dict[str, Any]], Any]:
    """Return the answer to a call, and the events up to it and to one of the config's."""
    events: list[dict[str, Any]] = []
    result: Any = None
    while result is None or not any(event["type"] == "config.updated" for event in events):
        message = client.receive()
        if message.get("id") == number:
            result = message["result"]
        elif message.get("method") == "event":
            events.append(message["params"])
    return events, result
