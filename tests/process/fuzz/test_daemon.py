"""A client of the daemon can lose only its own connection, whatever it sends and how."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests import budgets
from tests.process.fuzz import streams, world

from gaovm.daemon.legacy import service as legacy
from gaovm.ipc import methods

EXAMPLES = settings(
    max_examples=budgets.examples(60, 150),
    suppress_health_check=list(HealthCheck),
    database=None,
)
PLAUSIBLE = ("web-dev", "default", "/", "20", 8080, True, "ready", "debug", {"cpus": 2}, 0)
VM = {"name": "web-dev"}
RIGHT: dict[str, dict[str, Any]] = {
    "call.cancel": {"id": 7},
    "events.subscribe": {},
    "vm.status": {**VM, "guest": True},
    "vm.up": {
        "project_dir": "/nowhere",
        "config_path": "/nowhere/.lima/config.yaml",
        "config_text": "images: [{location: 'debian:12'}]\n",
        "user": {"name": "u", "uid": 1000, "gid": 1000, "comment": "", "home": "/home/u"},
        "name": "fuzz",
    },
    "vm.config.set": {**VM, "changes": {"cpus": 2}},
    "vm.session": {**VM, "kind": "exec"},
    "vm.ports.add": {**VM, "guest_port": 80},
    "vm.ports.remove": {**VM, "guest_port": 80},
    "image.build": {"name": "debian:12"},
    "image.pull": {"location": "/nowhere", "digest": "sha256:" + "0" * 64},
    "image.remove": {"ref": "debian:12"},
    "log.level": {**VM, "level": "info"},
}
for name in methods.CONTROL_METHODS:
    if name.startswith("vm.") and name != "vm.list":
        RIGHT.setdefault(name, VM)

OURS = [
    streams.hello(methods.CONTROL, methods.CONTROL_METHODS),
    streams.answer(-1, methods.CONTROL, methods.CONTROL_METHODS),
]
OLD = [
    streams.hello(methods.LEGACY, methods.LEGACY_METHODS),
    streams.answer(-1, methods.LEGACY, legacy.CAPABILITIES),
]


@pytest.fixture(scope="module")
def daemon() -> Iterator[world.World]:
    with (
        tempfile.TemporaryDirectory(prefix="gz") as directory,
        world.running(Path(directory)) as it,
    ):
        yield it


@EXAMPLES
@given(
    streams.streams(OURS, streams.calls(methods.CONTROL_METHODS, PLAUSIBLE, RIGHT)), streams.CUTS
)
def test_control_clients(daemon: world.World, data: bytes, cuts: list[int]) -> None:
    daemon.attack(streams.chunks(data, cuts))
    daemon.check()


@EXAMPLES
@given(streams.streams(OLD, streams.calls(methods.LEGACY_METHODS, PLAUSIBLE, {})), streams.CUTS)
def test_old_clients(daemon: world.World, data: bytes, cuts: list[int]) -> None:
    daemon.attack(streams.chunks(data, cuts))
    daemon.check()


def test_a_good_client_is_answered(daemon: world.World) -> None:
    """The valid form of the streams above reaches the methods."""
    for opening in (OURS, OLD):
        data = b"".join(streams.frame(streams.encode(m)) for m in opening)
        data += streams.frame(streams.encode(streams.request(7, "ping", {})))
        answers = {m.get("id"): m for m in daemon.attack([bytes([b]) for b in data])}
        assert answers[7]["result"]["ok"] is True
    daemon.check()
