from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import catalog, main, options, reference


def _install(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException | None, own: int | None = None
) -> None:
    def run(parsed: options.Parsed) -> int:
        if raised is not None:
            raise raised
        return 7

    command = options.Command("ls", run, about="x", options=(options.JSON,), own_failure=own)
    monkeypatch.setattr(catalog, "load", lambda name: command)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 7),
        (errors.VmNotFound("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.DaemonUnreachable("x"), 3),
        (errors.InvalidReply("x"), 4),
        (errors.TimeLimit("x"), 124),
        (errors.Cancelled("x"), 130),
        (KeyboardInterrupt(), 130),
        (OSError(5, "bad disk"), 1),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException | None, code: int
) -> None:
    _install(monkeypatch, raised)
    assert main.run(["ls"]) == code


def test_exec_and_shell_replace_their_own_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in (
        (errors.DaemonUnreachable("x"), 125),
        (errors.TimeLimit("x"), 125),
        (errors.Cancelled("x"), 130),
    ):
        _install(monkeypatch, error, own=125)
        assert main.run(["ls"]) == code
    _install(monkeypatch, None, own=125)
    assert main.run(["ls", "--no-such"]) == 125


def test_json_errors_go_to_standard_output_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _install(monkeypatch, errors.ImageInUse("in use", remedy="gaovm destroy web"))
    assert main.run(["ls", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "gaovm: in use\n  remedy: gaovm destroy web\n"
    assert json.loads(captured.out) == {
        "error": {"code": "image_in_use", "message": "in use", "remedy": "gaovm destroy web"}
    }
    assert main.run(["ls"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["sehll"], "gaovm shell"),
        (["image", "bulid"], "gaovm image build"),
        (["imge", "ls"], "did you mean gaovm image?"),
        (["zzz"], "gaovm help"),
        (["scp"], "did you mean gaovm cp?"),
        (["rm", "web"], "did you mean gaovm destroy?"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(
    argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(argv) == 2
    assert hint in capsys.readouterr().err


def test_names_from_other_tools_lead_to_existing_commands() -> None:
    assert set(catalog.ELSEWHERE.values()) <= set(catalog.COMMANDS)
    assert not set(catalog.ELSEWHERE) & (set(catalog.COMMANDS) | set(catalog.ALIASES))


@pytest.mark.parametrize("argv", [["help"], ["--help"], ["-h"], ["help", "help"]])
def test_the_overview_lists_every_command(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(argv) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in catalog.COMMANDS if name not in catalog.HIDDEN)
    assert not any(f"  {name} " in text for name in catalog.HIDDEN)


def test_no_command_is_a_usage_error_with_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    assert "Usage:" in capsys.readouterr().err
    assert main.run(["image"]) == 2
    assert "image prune" in capsys.readouterr().err
    for argv in (["image", "--help"], ["help", "image"]):
        assert main.run(argv) == 0
        assert "image prune" in capsys.readouterr().out


@pytest.mark.parametrize("name", catalog.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = catalog.load(name)
    assert command.name == name
    assert command.examples and all(name in text for text in command.examples[:1])
    assert main.run([*name.split(), "--help"]) == 0
    direct = capsys.readouterr().out
    assert main.run(["help", *name.split()]) == 0
    assert capsys.readouterr().out == direct == command.help()
    assert all(len(line) <= 100 for line in direct.splitlines())


def test_the_reference_is_up_to_date() -> None:
    path = Path(__file__).parents[3] / "docs" / "cli.md"
    assert path.read_text() == reference.text(), "python -m gaovm.cli.reference > docs/cli.md"


def test_every_module_of_the_table_exists() -> None:
    for module, constant, _ in catalog.COMMANDS.values():
        assert hasattr(importlib.import_module(f"gaovm.cli.commands.{module}"), constant)
