"""``gaovm code``: open a directory of the VM in VS Code, by its Remote-SSH and the VM's alias."""

from __future__ import annotations

import posixpath

from gaovm import errors
from gaovm.cli import options, output, project_dir, target
from gaovm.cli.commands import run, ssh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def code(parsed: options.Parsed) -> int:
    """Write the alias, then start the editor on it; returns the editor's exit status."""
    import shutil
    import subprocess

    from gaovm.openssh import alias

    wanted = _directory_word(parsed)
    vm = ssh.running(target.vm_name(parsed))
    directory = _in_guest(vm, wanted)
    name = parsed.text("program") or "code"
    found = shutil.which(name)
    host = alias.host(str(vm["name"]))
    ssh.write(vm)
    if found is None:
        raise errors.ProgramMissing(
            f"there is no `{name}` on PATH",
            remedy="in VS Code: \"Shell Command: Install 'code' command in PATH\"\n"
            f"any editor with Remote-SSH can open {directory} on the host {host}",
        )
    output.err(output.harmless(f"opening {directory} on {host}"))
    return subprocess.call([found, "--remote", f"ssh-remote+{host}", directory])


def _directory_word(parsed: options.Parsed) -> str | None:
    """Take the directory out of the words: the second, or an only one that is no name."""
    if len(parsed.words) == 2:
        return parsed.words.pop()
    if parsed.words and (parsed.words[0].startswith(".") or "/" in parsed.words[0]):
        return parsed.words.pop()
    return None


def _in_guest(vm: Mapping[str, Any], wanted: str | None) -> str:
    """Return the guest's path of a directory; without a word that of the current one, or home."""
    here = run.guest_path(vm["mounts"], [project_dir.working_directory()])
    start = here or str(vm["user"]["home"])
    return posixpath.normpath(posixpath.join(start, wanted or "."))


CODE = options.Command(
    "code",
    code,
    about="Open a directory of the VM in VS Code: its Remote-SSH connects by the alias of\n"
    "`gaovm ssh-config --write`, which this writes. DIR is a path in the VM; the default is this\n"
    "directory when it is mounted, else home.",
    words="[NAME] [DIR]",
    count=(0, 2),
    options=(
        options.NAME,
        options.Option(
            "--program", "another editor with these options, as codium", value="PROGRAM"
        ),
    ),
    examples=("gaovm code", "gaovm code web-dev /srv/app", "gaovm code --program codium ."),
)
