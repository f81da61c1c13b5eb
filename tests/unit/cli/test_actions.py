from __future__ import annotations

from gaovm import errors
from gaovm.cli import actions, output


def test_a_single_action_is_shown_as_its_command() -> None:
    error = errors.StateConflict("paused", actions=(errors.Action("resume_vm", name="web"),))
    assert output.error_text(error) == "gaovm: paused\n  remedy: gaovm resume web"


def test_several_actions_each_say_what_they_do() -> None:
    several = (errors.Action("show_vm"), errors.Action("force_stop_vm", name="web"))
    error = errors.GuestUnavailable("silent", remedy="look, or end it", actions=several)
    assert output.error_text(error).splitlines() == [
        "gaovm: silent",
        "  remedy: look, or end it",
        "          gaovm status            # show how the VM is",
        "          gaovm stop --force web  # end the VM at once",
    ]


def test_json_has_the_code_and_the_command() -> None:
    error = errors.NotFound("no image", actions=(errors.Action("list_images"),))
    assert output.error_json(error)["error"] == {
        "code": "not_found",
        "message": "no image",
        "remedy": "list the images",
        "actions": [{"code": "list_images", "args": {}, "command": "gaovm image ls"}],
    }


def test_an_argument_is_quoted_for_a_shell() -> None:
    action = errors.Action("set_config", key="message", value="two words; ls")
    assert actions.command(action) == "gaovm set 'message=two words; ls'"
