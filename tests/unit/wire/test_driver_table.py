"""The table of ``gaovm.driver.v1``, and what drivers of other versions may rely on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gaovm import errors
from gaovm.ipc import methods
from gaovm.model.states import Observed, Readiness
from gaovm.wire import convert, sessions, shapes
from gaovm.wire.driver import launch, notifications, opening, results, table

ROWS = list(table.METHODS.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_complete(row: Any) -> None:
    assert row.about
    for kind in (row.params, row.result):
        assert kind.__struct_config__.frozen
        assert kind.__doc__
        assert shapes.fields(kind)


def test_every_driver_has_the_core() -> None:
    assert table.CORE == (
        methods.HELLO,
        methods.PING,
        "vm.configure",
        "vm.start",
        "vm.stop",
        "vm.status",
        "exit",
    )


def _nested(*kinds: Any) -> list[Any]:
    ours = [kind for kind in shapes.named(*kinds) if kind.__module__.startswith("gaovm.wire")]
    return [*kinds, *ours]


@pytest.mark.parametrize("kind", dict.fromkeys(_nested(*(row.result for row in ROWS))))
def test_a_result_of_a_newer_driver_is_read(kind: Any) -> None:
    assert not kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("kind", dict.fromkeys(_nested(*(row.params for row in ROWS))))
def test_parameters_of_a_newer_daemon_are_read(kind: Any) -> None:
    assert not kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_older_driver_may_omit_whatever_was_added_later(row: Any) -> None:
    required: dict[str, dict[str, Any]] = {
        "ports.add": {"guest_port": 80, "host_port": 8080},
        "session.open": {"ticket": "a"},
    }
    given = required.get(row.name, {})
    assert convert.reply(row.name, {**given, "of tomorrow": [{}]}, row.result)


def test_the_status_of_a_driver_of_version_1_2_is_read() -> None:
    told = {
        "observed": "running",
        "readiness": "ready",
        "hypervisor_pid": 7,
        "boot": {"agent_ms": 1000, "ready_ms": None},
        "machine": "q35",
        "accelerator": {"name": "tcg", "reason": "no /dev/kvm"},
        "mounts": [{"location": "/a", "mount_point": "/b", "type": "9p", "reason": "x"}],
        "ports": [{"guest_port": 80, "host_port": 8080}],
    }
    status = convert.reply("vm.status", told, results.VmStatus)
    assert status.boot == results.Boot(agent_ms=1000.0)
    assert status.mounts[0].guard is None
    assert (status.ports[0].guest_ip, status.network, status.confinement) == (
        "127.0.0.1",
        None,
        None,
    )


def test_values_that_only_newer_drivers_send_are_read() -> None:
    port = {"guest_port": 80, "host_port": 8080, "state": "waiting", "source": "guest"}
    assert convert.reply("ports.add", port, results.Port).state == "waiting"
    assert convert.reply("vm.stop", {"how": "snapshot"}, results.Stopped).how == "snapshot"


def test_a_launch_request_of_an_older_daemon_has_defaults() -> None:
    required = {field.name for field in msgspec.structs.fields(launch.LaunchRequest)}
    required -= {"spec", "home", "vm_dir", "run_dir", "artefacts"}
    fields = {field.name: field for field in msgspec.structs.fields(launch.LaunchRequest)}
    assert [name for name in required if fields[name].required] == []


def test_notifications_have_one_name_each() -> None:
    assert set(notifications.NAMES.values()) == set(notifications.BY_NAME)


def test_an_unknown_notification_is_ignored() -> None:
    assert notifications.decode("weather", {"is": "fine"}) is None
    state = notifications.decode("state", {"observed": "running", "moon": 1})
    assert state == notifications.State(observed=Observed.RUNNING)


def test_a_bad_notification_names_its_field() -> None:
    with pytest.raises(errors.InvalidParams, match=r"\$\.observed"):
        notifications.decode("state", {"observed": "flying"})


@pytest.mark.parametrize(
    "error",
    [
        {"code": "probe_failed", "message": "no", "remedy": "look", "retriable": False},
        {"code": -32603, "message": "no", "data": {"code": "probe_failed", "remedy": "look"}},
    ],
)
def test_the_error_in_a_state_becomes_one_of_ours(error: dict[str, Any]) -> None:
    told = {"observed": "running", "readiness": "degraded", "at": 1.5, "error": error}
    state = notifications.decode("state", told)
    assert isinstance(state, notifications.State)
    failure = state.failure()
    assert isinstance(failure, errors.ProbeFailed)
    assert (state.readiness, failure.message, failure.remedy) == (Readiness.DEGRADED, "no", "look")


def test_a_state_without_an_error_has_no_failure() -> None:
    assert notifications.State(observed=Observed.STOPPED).failure() is None


def test_the_frames_before_a_stream_match_the_structs() -> None:
    data = sessions.opening("ab" * 32, "exec")
    (length,) = sessions.LENGTH.unpack(data[: sessions.LENGTH.size])
    body = data[sessions.LENGTH.size :]
    assert len(body) == length < sessions.MAX_OPENING_BYTES
    found = msgspec.json.decode(body, type=opening.Opening)
    assert found == opening.Opening(ticket="ab" * 32, stream="exec")
    assert json.loads(msgspec.json.encode(opening.Answer(ok=True))) == {"ok": True}
    why = opening.Refusal(code="auth_failed", message="no")
    answer = json.loads(msgspec.json.encode(opening.Answer(error=why)))
    assert answer == {"error": {"code": "auth_failed", "message": "no"}}
