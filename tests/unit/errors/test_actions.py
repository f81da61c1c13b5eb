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


def test_needed_arguments_stand_in_what_it_does() -> None:
    assert errors.Action("set_config", key="cpus", value="2").about.startswith("set cpus to 2")


@pytest.mark.parametrize(
    ("code", "args"),
    [("no_such", {}), ("list_vms", {"name": "x"}), ("set_config", {"key": "x"})],
)
def test_what_the_table_does_not_have_is_refused(code: str, args: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=code):
        errors.Action(code, **args)


def test_the_vm_of_the_call_is_added_where_none_is_named() -> None:
    named = errors.Action("show_vm", name="own")
    found = actions.naming((errors.Action("stop_vm"), named, errors.Action("list_vms")), "web")
    assert found == (errors.Action("stop_vm", name="web"), named, errors.Action("list_vms"))


def test_the_wire_keeps_actions_and_is_readable_without_them() -> None:
    several = (errors.Action("show_vm"), errors.Action("stop_vm", name="web"))
    wire = errors.to_wire(errors.StateConflict("no", actions=several))
    assert wire["data"]["remedy"] == "show how the VM is; shut the VM down"
    back = errors.from_wire(wire)
    assert (back.remedy, back.actions) == (None, several)


def test_a_remedy_of_its_own_is_kept_beside_the_actions() -> None:
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
        ],
        [{"code": "of_a_later_version", "args": {}}],
        [{"code": "show_vm", "args": {"code": "x"}}, {"code": "show_vm", "args": {"self": "x"}}],
    ],
)
def test_what_is_no_action_here_is_left_out_and_its_text_stays(data: object) -> None:
    wire = {"code": -32000, "message": "m", "data": {"code": "not_found", "remedy": "do it"}}
    wire["data"]["actions"] = data  # type: ignore[index]
    back = errors.from_wire(wire)
    assert (back.remedy, back.actions) == ("do it", ())
