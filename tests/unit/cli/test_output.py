from __future__ import annotations

import json

import pytest

from gaovm import errors
from gaovm.cli import output
from gaovm.cli.commands import status


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (2 << 30, "2.0 GiB"), (5 << 50, "5120.0 TiB")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (59.9, "59s"),
        (185, "3m05s"),
        (7260, "2h01m"),
        (273600, "3d04h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_tables_line_up() -> None:
    assert output.table(("A", "LONG"), [("abc", "x"), ("d", "")]) == "A    LONG\nabc  x\nd"


def test_text_of_a_guest_cannot_control_the_terminal() -> None:
    assert output.harmless("a\x1b]0;x\x07b\r\n\tc\x9b") == "a]0;xb\n\tc"


def test_an_error_shows_field_and_remedy() -> None:
    error = errors.ConfigError("c.yaml:3: cpus: x\nc.yaml:4: y", field="cpus", remedy="one\ntwo")
    assert output.error_text(error).splitlines() == [
        "gaovm: c.yaml:3: cpus: x",
        "       c.yaml:4: y",
        "  field: cpus",
        "  remedy: one",
        "          two",
    ]
    assert output.error_json(error)["error"]["code"] == "config_invalid"


def test_an_error_shows_the_last_lines_of_the_guest_without_control_codes() -> None:
    error = errors.BootFailed("no boot", details={"serial_tail": "x\n" * 30 + "panic\x1b[2J\n"})
    lines = output.error_text(error).splitlines()
    assert lines[-1] == "  | panic[2J"
    assert len(lines) == 21
    odd = errors.BootFailed("no boot", details={"tail": ["a", 1]})
    assert output.error_text(odd).splitlines()[1:] == ["  | a", "  | 1"]


STEERING = "a\x1b[31m\x07\x7f\x85\x9b31m\u202eb\u2066c\u200f\u061c\u2028d"


def test_json_has_the_same_content_and_no_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    data = {STEERING: [STEERING, "é✓日本\n"]}
    output.json_out(data)
    shown = capsys.readouterr().out
    for text in (shown, output.json_text(data)):
        assert json.loads(text) == data
        assert all(char.isprintable() or char == "\n" for char in text)
        assert "é✓日本" in text
    assert "\\u009b31m\\u202eb" in shown
    assert "\n" not in output.json_text(data)


def test_a_cell_of_a_table_is_one_line() -> None:
    table = output.table(("NAME", "WHAT"), [("web\nforged  row", STEERING), ("a\tb", "x\r\n")])
    assert table.split("\n") == [
        "NAME              WHAT",
        "web\\nforged  row  a[31m31mbcd",
        "a b               x\\n",
    ]


def test_no_line_of_a_value_can_look_like_a_label() -> None:
    vm = {
        "name": "web",
        "state": "failed",
        "last_error": {"message": "it failed\nstate        running\n\x9b2J"},
    }
    for line in status.text(vm).split("\n"):
        assert not line.startswith("state        running")
    assert "\x9b" not in status.text(vm)
