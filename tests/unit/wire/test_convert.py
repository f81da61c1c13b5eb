"""From JSON to structs and back: errors name the field, calls send only what is needed."""

from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.wire import convert
from gaovm.wire.control import events, payloads, process, status, table, vms
from gaovm.wire.control.target import Nothing


def test_bad_parameters_name_method_and_path() -> None:
    user = {"name": "u", "uid": -1, "gid": 0}
    given = {"project_dir": "/", "config_path": "c", "config_text": "", "user": user}
    with pytest.raises(errors.InvalidParams, match=r"vm.up: user.uid: Expected") as caught:
        convert.decode(vms.Up, "vm.up", given)
    assert caught.value.field == "user.uid"
    with pytest.raises(errors.InvalidParams, match="ping: Object contains unknown field") as caught:
        convert.decode(Nothing, "ping", {"more": 1})
    assert caught.value.field is None
    assert convert.decode(Nothing, "ping", None) == Nothing()


def test_a_call_sends_only_what_differs_from_the_defaults() -> None:
    assert convert.arguments(vms.Stop(name="web")) == {"name": "web"}
    assert convert.arguments(vms.Stop(name="web", force=True)) == {"name": "web", "force": True}
    assert convert.arguments(Nothing()) == {}


def test_a_result_may_have_more_fields_but_not_fewer() -> None:
    assert convert.reply("ping", {"ok": True, "ts": 1.5, "later": 1}, process.Pong).ts == 1.5
    with pytest.raises(errors.InvalidReply, match="ping: Object missing required field `ts`"):
        convert.reply("ping", {"ok": True}, process.Pong)


def test_the_matching_one_of_two_results_is_taken() -> None:
    found = convert.reply("vm.adopt", {"lost": []}, table.VM_ADOPT.result)
    assert found == status.Lost(lost=())
    with pytest.raises(errors.InvalidReply, match=r"vm\.adopt"):
        convert.reply("vm.adopt", {}, table.VM_ADOPT.result)


def test_an_event_is_read_by_its_type() -> None:
    def event(kind: str, **payload: object) -> events.Event:
        return events.Event(seq=1, type=kind, vm=None, payload=payload, ts="")

    started = payloads.read(event("driver.started", pid=7, socket_path="/s", later=1))
    assert started == payloads.DriverStarted(pid=7, socket_path="/s")
    assert payloads.read(event("driver.started", pid="seven")) is None
    assert payloads.read(event("of.a.newer.daemon")) is None


def test_unknown_values_of_a_payload_are_not_sent() -> None:
    failure = payloads.PermanentFailure(reason="r", attempts=5, max_attempts=5, serial_tail=())
    assert "window_limit" not in convert.arguments(failure)
    assert payloads.PAYLOADS[failure.TYPE] is payloads.PermanentFailure
