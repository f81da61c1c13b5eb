"""Mode ``yq``: the program is brought into the guest once, and edits files there."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from gaovm import errors
from gaovm.driver.guest import editing
from gaovm.guestmanager import processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Script, Target
from gaovm.wire import streams
from gaovm.wire.agent.processes import Command, Exit

#: No guest: every command runs here.
CONNECTION = cast("Connection", None)
OWNER = pwd.getpwuid(os.getuid()).pw_name
PROGRAM = """\
#!/bin/sh
[ "$*" = "eval -in json -out json -indent 2 -- .a = 1" ] || { echo "what: $*" >&2; exit 5; }
read -r old; echo "{\\"was\\": $old}"
"""


class Guest:
    """Runs commands on this host; keeps what was asked for."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    async def run(self, _: Connection, command: Command, *, stdin: bytes = b"", **how: Any) -> Exit:
        self.commands.append(command)
        done = subprocess.run(command.argv, input=stdin, capture_output=True, check=False)
        if take := how.get("on_output"):
            take(streams.OUTPUT, done.stdout)
            take(streams.STDERR, done.stderr)
        return Exit(status=done.returncode)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Guest:
    found = Guest()
    monkeypatch.setattr(processes, "run", found.run)
    monkeypatch.setattr(editing, "_DIRECTORY", str(tmp_path / "var"))
    return found


@pytest.fixture
def editor(tmp_path: Path) -> editing.Editor:
    program = tmp_path / "gaovm-yq"
    program.write_text(PROGRAM)
    return editing.Editor(program)


async def edit(editor: editing.Editor, path: Path, expression: str = ".a = 1") -> tuple[int, str]:
    target = Target(path=str(path), owner=OWNER, permissions="640", format="json")
    script = Script(name="provision[0]", mode="yq", script=expression, target=target)
    said: list[bytes] = []
    ended = await editor.edit(CONNECTION, script, target, lambda _, data: said.append(data))
    return ended.code, b"".join(said).decode()


async def test_a_file_is_edited_as_its_owner(
    guest: Guest, editor: editing.Editor, tmp_path: Path
) -> None:
    path = tmp_path / "etc" / "daemon.json"
    assert await edit(editor, path) == (0, "")
    assert path.read_text() == '{"was": null}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_text("7\n")
    assert await edit(editor, path) == (0, "")
    assert path.read_text() == '{"was": 7}\n'
    assert [each.name for each in path.parent.iterdir()] == ["daemon.json"]
    # looked for and brought as root, and that once
    assert [command.user for command in guest.commands] == ["root", "root", OWNER, OWNER]


async def test_another_start_finds_the_program_in_the_guest(
    guest: Guest, editor: editing.Editor, tmp_path: Path
) -> None:
    await edit(editor, tmp_path / "a.json")
    guest.commands.clear()
    await edit(editing.Editor(tmp_path / "gaovm-yq"), tmp_path / "a.json")
    assert [command.user for command in guest.commands] == ["root", OWNER]


async def test_an_expression_that_fails_leaves_the_file(
    guest: Guest, editor: editing.Editor, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text("1\n")
    code, said = await edit(editor, path, "wrong")
    assert (code, "what: eval" in said) == (5, True)
    assert path.read_text() == "1\n"
    assert await edit(editor, tmp_path) == (82, f"{tmp_path} is a directory\n")


async def test_without_the_program_it_is_refused(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(errors.GuestCallFailed, match="comes without gaovm-yq"):
        await edit(editing.Editor(None), tmp_path / "a.json")
    with pytest.raises(errors.GuestCallFailed, match="No such file"):
        await edit(editing.Editor(tmp_path / "gone"), tmp_path / "a.json")
