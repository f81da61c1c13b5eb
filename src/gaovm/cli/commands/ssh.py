"""``gaovm ssh`` and ``gaovm ssh-config``: the user's OpenSSH, by an alias for each VM."""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import calls, options, output, target
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def ssh(parsed: options.Parsed) -> int:
    """Become OpenSSH's client with the options of the VM's alias."""
    import shutil

    from gaovm.builder import packages
    from gaovm.openssh import alias

    program = shutil.which("ssh")
    if program is None:
        raise errors.ProgramMissing(
            "ssh is not installed",
            remedy=f"{packages.remedy('openssh-client')}\ngaovm shell needs no ssh",
        )
    vm = running(target.vm_name(parsed))
    words = alias.arguments(settings(vm))
    user = parsed.text("user")
    if user is not None:
        words += ["-l", user]
    sys.stdout.flush()
    os.execv(program, ["ssh", *words, alias.host(vm["name"]), *parsed.rest])


def config(parsed: options.Parsed) -> int:
    """Print a VM's Host block, or write it into ``~/.ssh``, or remove it from there."""
    from gaovm.openssh import alias

    if parsed.flag("remove"):
        return _remove(parsed)
    vm = find(target.vm_name(parsed))
    name, home = str(vm["name"]), paths.home()
    if not parsed.flag("write"):
        output.out(alias.block(name, home, settings(vm)).rstrip("\n"))
        return 0
    written = write(vm)
    output.err(output.harmless(f"{written} has the alias: ssh {alias.host(name)}"))
    return 0


def find(name: str) -> Mapping[str, Any]:
    """Return the status of a VM.

    Raises:
        errors.VmNotFound: with what the user may have meant.
    """
    with calls.connect() as client:
        found: Mapping[str, Any] = calls.call(client, "vm.status", {"name": name})
    return found


def running(name: str) -> Mapping[str, Any]:
    """Return the status of a VM that runs.

    Raises:
        errors.StateConflict: it does not.
        errors.VmNotFound: with what the user may have meant.
    """
    vm = find(name)
    if vm["observed"] != "running":
        raise errors.StateConflict(
            f"VM {vm['name']} is not running ({vm['state']})",
            actions=(errors.Action("start_vm", name=str(vm["name"])),),
        )
    return vm


def settings(vm: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options by which OpenSSH reaches a VM; make keys that are missing."""
    from gaovm.openssh import alias, keys, places

    name, home = str(vm["name"]), paths.home()
    keys.ensure(home, name)
    files = (places.user_key(home), places.known_hosts(home, name))
    return alias.options(vm, home, program(), files)


def write(vm: Mapping[str, Any]) -> str:
    """Write a VM's alias into ``~/.ssh``; return the file that has it.

    Raises:
        errors.HostError: a file cannot be written.
    """
    from gaovm.openssh import userfiles

    with calls.connect() as client:
        exist = {str(each["name"]) for each in client.call("vm.list", {})["vms"]}
    written = userfiles.put(str(vm["name"]), paths.home(), settings(vm), exist)
    if not userfiles.is_read():
        output.err(
            output.harmless(
                f"HOME is not your account's directory, where ssh looks: use ssh -F {written}"
            )
        )
    return str(written)


def program() -> list[str]:
    """Return the words that call this program from any directory."""
    import shutil

    called = shutil.which(sys.argv[0])
    if called is not None and os.path.basename(called) == "gaovm":  # noqa: PTH119
        return [os.path.abspath(called)]  # noqa: PTH100
    # -P: a module in the current directory must not replace one of ours
    return [sys.executable, "-P", "-m", "gaovm"]


def _remove(parsed: options.Parsed) -> int:
    from gaovm.openssh import alias, userfiles

    home = paths.home()
    if parsed.word() is None and parsed.text("name") is None:
        removed = userfiles.remove(lambda _, of: of == home)
        what = "the aliases of all VMs are"
    else:
        name = target.vm_name(parsed)
        removed = userfiles.remove(lambda vm, of: (vm, of) == (name, home))
        what = f"the alias {alias.host(name)} is"
    output.err(f"{what} removed" if removed else "there is no alias to remove")
    return 0


SSH = options.Command(
    "ssh",
    ssh,
    about="Open an SSH connection to the VM with your own ssh. Needs no port and no network, only\n"
    "an sshd in the guest's image. Words after -- go to ssh: a command, or options of ssh.",
    words="[NAME]",
    rest="[-- ARGUMENT...]",
    count=(0, 1),
    options=(options.NAME, options.Option("-u, --user", "log in as this user", value="USER")),
    own_failure=255,
    examples=(
        "gaovm ssh",
        "gaovm ssh web-dev -- uname -a",
        "gaovm ssh -- -A -L 5432:localhost:5432",
    ),
)

CONFIG = options.Command(
    "ssh-config",
    config,
    about="Print the Host block of the VM for ssh. With --write, put it into ~/.ssh/gaovm.config\n"
    "and include that in ~/.ssh/config: then `ssh gaovm-NAME` works, and so do scp, sftp, rsync,\n"
    "git and editors. The alias goes when the VM is destroyed.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("--write", "make the alias gaovm-NAME; drop those of VMs that are gone"),
        options.Option("--remove", "remove the alias; without NAME those of all VMs"),
    ),
    examples=(
        "gaovm ssh-config",
        "gaovm ssh-config --write && rsync -a src/ gaovm-web-dev:src/",
        "gaovm ssh-config --remove",
    ),
)
