from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.errors import actions


def test_an_action_is_a_value() -> None:
    one = errors.Action("resume_vm", name="web")
    assert one == errors.Action("resume_vm", name="web")
    assert one != errors.Action("resume_vm") and one != "resume_vm"
    assert len({one, errors.Action("resume_vm", name="web")}) == 1
    assert (one.code, one.args) == ("resume_vm", {"name": "web"})
    assert repr(one) == "Action('resume_vm', name='web')"
    one.args["name"] = "other"
    assert one.args == {"name": "web"}


def test_the_text_of_an_action_names_its_arguments() -> None:
    assert errors.Action("set_config", key="cpus", value="2").about.startswith("set cpus to 2")


@pytest.mark.parametrize(
    ("code", "args"),
    [("no_such", {}), ("list_vms", {"name": "x"}), ("set_config", {"key": "x"})],
)
def test_an_action_that_the_table_lacks_is_refused(code: str, args: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=code):
        errors.Action(code, **args)


def test_an_action_that_names_no_vm_gets_the_vm_of_the_call() -> None:
    named = errors.Action("show_vm", name="own")
    found = actions.naming((errors.Action("stop_vm"), named, errors.Action("list_vms")), "web")
    assert found == (errors.Action("stop_vm", name="web"), named, errors.Action("list_vms"))


def test_the_wire_keeps_actions_and_has_their_text() -> None:
    several = (errors.Action("show_vm"), errors.Action("stop_vm", name="web"))
    wire = errors.to_wire(errors.StateConflict("no", actions=several))
    assert wire["data"]["remedy"] == "show how the VM is; shut the VM down"
    back = errors.from_wire(wire)
    assert (back.remedy, back.actions) == (None, several)


def test_an_error_keeps_its_own_remedy_beside_its_actions() -> None:
    error = errors.StateConflict("no", remedy="look first", actions=(errors.Action("show_vm"),))
    back = errors.from_wire(errors.to_wire(error))
    assert (back.remedy, back.actions) == ("look first", error.actions)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "show_vm",
        [
            1,
            {"code": 1},
            {"code": "show_vm", "args": [1]},
            {"code": "show_vm", "args": {"name": 1}},
            {"code": "show_vm", "args": {"code": "stop_vm"}},
            {"code": "show_vm", "args": {"self": "x"}},
        ],
        [{"code": "of_a_later_version", "args": {}}],
        [{"code": "show_vm", "args": {"code": "x"}}, {"code": "show_vm", "args": {"self": "x"}}],
    ],
)
def test_unknown_actions_are_dropped_but_their_text_stays(data: object) -> None:
    wire = {"code": -32000, "message": "m", "data": {"code": "not_found", "remedy": "do it"}}
    wire["data"]["actions"] = data  # type: ignore[index]
    back = errors.from_wire(wire)
    assert (back.remedy, back.actions) == ("do it", ())
