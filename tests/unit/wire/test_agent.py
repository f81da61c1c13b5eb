"""The contract with the agent, compared with its Go source: two languages, one list of names."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.wire import agent_source

from gaovm.wire import streams
from gaovm.wire.agent import (
    calls,
    clock,
    disks,
    files,
    guest,
    handshake,
    info,
    journal,
    mounts,
    power,
    processes,
    ssh,
    tunnel,
    users,
)

#: What the agent decodes: it refuses other names, so ours must be among its names.
REQUESTS: tuple[type[Any], ...] = (
    clock.Correction,
    disks.Grow,
    files.CopyIn,
    files.CopyOut,
    guest.Configuration,
    guest.Wait,
    journal.Follow,
    mounts.Mount,
    power.Power,
    processes.Command,
    processes.Resize,
    processes.Signal,
    processes.SignalOf,
    ssh.Connection,
    tunnel.Tunnel,
    users.Account,
)
#: What the agent sends from its own structs, name by name.
ANSWERS: tuple[type[Any], ...] = (
    calls.Problem,
    guest.Boot,
    guest.Configured,
    guest.Network,
    guest.WatchdogState,
    handshake.Hello,
    info.Address,
    info.Agent,
    info.Disk,
    info.Info,
    info.Listener,
    info.Memory,
    journal.Line,
    mounts.Mounted,
    processes.Exit,
    users.Made,
)
#: What it sends from a map: the names are strings somewhere in its source.
MAPS: tuple[type[Any], ...] = (
    calls.Refusal,
    clock.Corrected,
    clock.Now,
    disks.Grown,
    processes.Started,
)
FRAMES = {
    "start": streams.START,
    "data": streams.DATA,
    "eof": streams.EOF,
    "signal": streams.SIGNAL,
    "resize": streams.RESIZE,
    "started": streams.STARTED,
    "out": streams.OUTPUT,
    "stderr": streams.STDERR,
    "exit": streams.EXIT,
    "error": streams.ERROR,
    "outeof": streams.OUTPUT_EOF,
}


def _fields(struct: type[Any]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))


@pytest.mark.parametrize("struct", REQUESTS, ids=lambda each: str(each.__name__))
def test_the_agent_knows_every_field_of_a_request(struct: type[Any]) -> None:
    ours = _fields(struct)
    theirs = [names for _, names in agent_source.structs() if ours <= names]
    assert theirs, f"no struct of the agent has {sorted(ours)}"


@pytest.mark.parametrize("struct", ANSWERS, ids=lambda each: str(each.__name__))
def test_an_answer_has_the_fields_of_an_agents_struct(struct: type[Any]) -> None:
    assert _fields(struct) in [names for _, names in agent_source.structs()]


@pytest.mark.parametrize("struct", MAPS, ids=lambda each: str(each.__name__))
def test_an_answer_made_from_a_map_has_the_agents_names(struct: type[Any]) -> None:
    source = "".join(agent_source.files())
    assert [name for name in _fields(struct) if f'"{name}"' not in source] == []


def test_frames_have_the_agents_numbers() -> None:
    constants = agent_source.constants()
    theirs = {name: constants.get(f"frame{name}", constants.get(name)) for name in FRAMES}
    assert theirs == {name: f"{number:#04x}" for name, number in FRAMES.items()}
    assert constants["maxframe"] == "1 << 20"
    assert streams.MAX_PAYLOAD == 1 << 20


@pytest.mark.parametrize(
    "ended",
    [processes.Exit(status=0), processes.Exit(status=7), processes.Exit(signal=15)],
)
def test_the_reader_without_msgspec_agrees_about_an_exit(ended: processes.Exit) -> None:
    assert streams.exit_status(msgspec.json.encode(ended)) == ended.code


def test_the_reader_without_msgspec_agrees_about_an_error() -> None:
    problem = calls.Problem(code="not-found", message="no such file")
    error = streams.error(msgspec.json.encode(problem))
    assert (error.message, error.details) == (problem.message, {"agent_code": problem.code})


def test_newer_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    newer = json.dumps({"hostname": "dev", "fans": 3, "memory": {"total_bytes": 1, "banks": 2}})
    found = msgspec.json.decode(newer, type=info.Info)
    assert (found.hostname, found.memory.total_bytes, found.listeners) == ("dev", 1, ())
    for struct in (guest.Configured, guest.Boot, guest.Network, handshake.Hello, clock.Corrected):
        assert msgspec.json.decode(b"{}", type=struct) == struct()


def test_a_request_omits_defaults() -> None:
    command = msgspec.json.encode(processes.Command(argv=("true",)))
    assert json.loads(command) == {"argv": ["true"]}
    assert json.loads(msgspec.json.encode(guest.Configuration())) == {}
