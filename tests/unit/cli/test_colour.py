from __future__ import annotations

import io
import re

import pytest

from gaovm import errors
from gaovm.cli import catalog, colour, output
from gaovm.cli.commands import listing, status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("X", "1", True)],
)
def test_when_output_is_coloured(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert colour.wanted(Terminal()) is wanted
    assert not colour.wanted(io.StringIO())
    monkeypatch.delenv("TERM")
    assert not colour.wanted(Terminal())


def test_colour_changes_no_letter_and_no_column() -> None:
    rows = [("web-dev", "running", "2"), ("running", "paused", "1"), ("x", "unknown", "1")]
    table = output.table(("NAME", "STATE", "CPUS"), rows)
    shown = colour.column(table, "STATE", Terminal())
    assert plain(shown) == table
    _, first, second, third = shown.split("\n")
    assert first == "web-dev  \x1b[32mrunning\x1b[0m  2"
    assert second == "running  \x1b[33mpaused\x1b[0m   1"
    assert third == "x        unknown  1"
    assert colour.column(table, "STATE", io.StringIO()) == table


def test_errors_and_headings() -> None:
    text = output.error_text(errors.UsageError("no: such", remedy="gaovm ls", field="x"))
    shown = colour.error(text, Terminal())
    assert plain(shown) == text
    assert shown.startswith("\x1b[1;31mgaovm:\x1b[0m no: such\n\x1b[1m  field:\x1b[0m x\n")
    help_text = catalog.load("exec").help()
    shown = colour.headings(help_text, Terminal())
    assert plain(shown) == help_text
    assert shown.count("\x1b[1m") == 3  # Usage, Options, Examples


def test_a_state_in_a_status_is_coloured() -> None:
    vm = {"name": "web", "state": "failed", "detail": "it died"}
    text = status.text(vm)
    assert "\x1b[31mfailed\x1b[0m (it died)" in colour.words_at(text, 13, Terminal())
    assert listing.HEAD[1] == "STATE"


def test_the_overview_is_divided_into_groups() -> None:
    lines = catalog.overview("").splitlines()
    headings = [line for line in lines if line.endswith(":")]
    assert headings == [f"{heading}:" for heading in catalog.HEADINGS.values()]
    assert set(catalog.HEADINGS) <= set(catalog.COMMANDS)
    assert "  image ls" not in lines[lines.index("Images and disks:") - 2]
    group = catalog.overview("image").splitlines()
    assert [line.split()[1] for line in group if line.startswith("  image")] == [
        name.split()[1] for name in catalog.COMMANDS if name.startswith("image ")
    ]
