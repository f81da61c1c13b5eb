"""The man page matches the commands' declarations, and roff accepts it without warnings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gaovm import switches
from gaovm.cli import catalog, manpage

PAGE = Path(__file__).parents[3] / "docs" / "gaovm.1"


def test_the_man_page_is_up_to_date() -> None:
    assert PAGE.read_text() == manpage.text(), "python -m gaovm.cli.manpage > docs/gaovm.1"


def test_text_is_shown_as_it_is() -> None:
    assert manpage.escaped(r"a\b -x ~/y") == r"a\eb \-x \(ti/y"
    assert manpage.escaped(".lima") == r"\&.lima"
    assert manpage.escaped("'quoted'") == r"\&'quoted'"
    assert manpage.escaped("9f86…") == r"9f86\[u2026]"


def test_roff_shows_every_command_option_and_variable() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=500n", str(PAGE)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    for name in catalog.COMMANDS:
        command = catalog.load(name)
        assert f"   gaovm {name}\n" in done.stdout and command.usage() in done.stdout
        assert all(", ".join(option.names) in done.stdout for option in command.options)
        assert all(f"       {example}\n" in done.stdout for example in command.examples)
    assert all(switch.name in done.stdout for switch in switches.USER)
