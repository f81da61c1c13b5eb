"""List every command: the module of its code, its names in other tools, and how to find it."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaovm.cli import options

# command -> (module of gaovm.cli.commands, its constant, one line for the overview)
COMMANDS = {
    "init": ("init", "INIT", "write .lima/config.yaml for this directory"),
    "up": ("up", "UP", "make or start the VM of this project"),
    "shell": ("run", "SHELL", "open a shell in the VM, in this directory"),
    "exec": ("run", "EXEC", "run one command in the VM"),
    "cp": ("copy", "CP", "copy files into, out of or between VMs"),
    "ssh": ("ssh", "SSH", "open an SSH connection to the VM"),
    "ssh-config": ("ssh", "CONFIG", "make `ssh gaovm-NAME` work, with scp, rsync, git"),
    "code": ("code", "CODE", "open the project in VS Code, inside the VM"),
    "ssh-proxy": ("ssh_proxy", "PROXY", "carry one SSH connection, as ssh's ProxyCommand"),
    "template ls": ("templates", "LS", "list the templates for init and base"),
    "template show": ("templates", "SHOW", "print a template"),
    "template validate": ("templates", "VALIDATE", "check a template or config file"),
    "template copy": ("templates", "COPY", "write a template to a file"),
    "port add": ("ports", "ADD", "forward a host port to the VM"),
    "port ls": ("ports", "LS", "list forwarded ports"),
    "port rm": ("ports", "RM", "stop forwarding a port"),
    "display open": ("display", "OPEN", "open a window with the VM's display"),
    "display close": ("display", "CLOSE", "close that window; the VM goes on"),
    "display status": ("display", "STATUS", "show whether there is a display and a window"),
    "display screenshot": ("display", "SCREENSHOT", "write the VM's display to a PNG file"),
    "ls": ("listing", "LS", "list the VMs"),
    "status": ("status", "STATUS", "show all about one VM"),
    "events": ("events", "EVENTS", "show what happened, and follow what happens"),
    "logs": ("logs", "LOGS", "show the VM's logs, merged by time"),
    "log-level": ("loglevel", "LOG_LEVEL", "show or change how much is logged"),
    "start": ("lifecycle", "START", "start a VM that exists"),
    "stop": ("lifecycle", "STOP", "shut the VM down"),
    "restart": ("lifecycle", "RESTART", "stop the VM and start it again"),
    "pause": ("lifecycle", "PAUSE", "make the VM stand still"),
    "resume": ("lifecycle", "RESUME", "let a paused VM go on"),
    "set": ("config", "SET", "change the VM's config without editing its file"),
    "diff": ("config", "DIFF", "show what the VM's next start changes"),
    "plan": ("config", "PLAN", "say beforehand what a change or up would do"),
    "provision": ("provision", "PROVISION", "run the VM's scripts and probes again"),
    "destroy": ("lifecycle", "DESTROY", "remove the VM and its disk"),
    "protect": ("protecting", "PROTECT", "protect the VM from removal"),
    "unprotect": ("protecting", "UNPROTECT", "allow to remove the VM"),
    "adopt": ("adopt", "ADOPT", "give a VM whose directory is gone to this one"),
    "image ls": ("images", "LS", "list the images"),
    "image build": ("images", "BUILD", "build an image"),
    "image pull": ("images", "PULL", "download an image"),
    "image rm": ("images", "RM", "remove an image"),
    "image prune": ("images", "PRUNE", "remove the images that no VM uses"),
    "disk create": ("disks", "CREATE", "make a disk that outlives its VMs"),
    "disk ls": ("disks", "LS", "list the disks"),
    "disk resize": ("disks", "RESIZE", "make a disk larger"),
    "disk import": ("disks", "IMPORT", "make a disk from a file"),
    "disk unlock": ("disks", "UNLOCK", "say which VM has a disk"),
    "disk rm": ("disks", "RM", "remove a disk"),
    "doctor": ("doctor", "DOCTOR", "check what this machine offers and lacks"),
    "capabilities": ("capabilities", "CAPABILITIES", "show what each back end can do here"),
    "explain": ("explain", "EXPLAIN", "print the hypervisor's command line, offline"),
    "daemon start": ("daemon", "START", "start the daemon"),
    "daemon stop": ("daemon", "STOP", "stop the VMs and the daemon"),
    "daemon upgrade": ("daemon", "UPGRADE", "let the daemon go on with new code"),
    "daemon status": ("daemon", "STATUS", "show the daemon"),
    "daemon enable": ("units", "ENABLE", "let systemd start the daemon at boot or login"),
    "daemon disable": ("units", "DISABLE", "undo daemon enable"),
    "daemon run": ("daemon", "RUN", "run the daemon in the foreground"),
    "lima": ("lima", "LIMA", "Lima's command line: gaovm lima list, start, shell ..."),
    "completion": ("completion", "COMPLETION", "print a shell's completion script"),
    "uninstall": ("uninstall", "UNINSTALL", "remove all VMs and everything GaoVM keeps"),
    "version": ("version", "VERSION", "print the version"),
}
# first command of each part of the overview -> the heading of the part
HEADINGS = {
    "init": "A project and its VM",
    "port add": "Ports and display of a VM",
    "ls": "What there is and what happens",
    "start": "A VM that exists",
    "image ls": "Images and disks",
    "doctor": "This machine and the daemon",
}
# commands that other programs call: the overview and the completion leave them out
HIDDEN = frozenset(("ssh-proxy",))
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}
# names of the same commands in other tools
ELSEWHERE = {
    "show-ssh": "ssh-config",
    "scp": "cp",
    "console": "shell",
    "run": "exec",
    "ps": "ls",
    "info": "status",
    "inspect": "status",
    "create": "up",
    "down": "stop",
    "halt": "stop",
    "kill": "stop",
    "reload": "restart",
    "unpause": "resume",
    "rm": "destroy",
    "delete": "destroy",
    "remove": "destroy",
    "copy": "cp",
    "edit": "set",
    "images": "image ls",
    "templates": "template ls",
    "validate": "template validate",
    "build": "image build",
    "pull": "image pull",
    "rmi": "image rm",
    "disk delete": "disk rm",
    "disk remove": "disk rm",
    "disk list": "disk ls",
    "disk grow": "disk resize",
    "volume": "disk ls",
    "prune": "image prune",
    "ports": "port ls",
    "autostart": "daemon enable",
    "limactl": "lima",
}
ALIASES = {"--version": "version", "-V": "version", "list": "ls"}
HELP = ("help", "-h", "--help")


def find(argv: Sequence[str]) -> tuple[options.Command | None, list[str]]:
    """Return the command that ``argv`` names and the words after it; None means the overview.

    Raises:
        errors.UsageError: there is no such command.
    """
    words = list(argv)
    wants_help = bool(words) and words[0] in HELP
    while words and words[0] in HELP:
        words.pop(0)
    if not words:
        return None, ["help"] if wants_help else []
    name = ALIASES.get(words[0], words[0])
    used = 1
    if name in GROUPS:
        name, used = _member(name, words)
        if not name:
            return None, [words[0], "help"] if wants_help else words
    if name not in COMMANDS:
        raise _unknown(name)
    return load(name), ["--help"] if wants_help else words[used:]


def load(name: str) -> options.Command:
    """Import the module of one command, and return its declaration."""
    import importlib

    module, constant, _ = COMMANDS[name]
    command: options.Command = getattr(
        importlib.import_module(f"gaovm.cli.commands.{module}"), constant
    )
    return command


def names(group: str) -> list[tuple[str, str]]:
    """Return the commands and groups that can come first, or a group's members, with a line."""
    found: dict[str, str] = {}
    for name, (_, _, about) in COMMANDS.items():
        if name in HIDDEN:
            continue
        first, _, member = name.partition(" ")
        if group and first == group and member:
            found[member] = about
        elif not group:
            found.setdefault(first, f"gaovm {first} COMMAND" if member else about)
    return list(found.items())


def _member(group: str, words: list[str]) -> tuple[str, int]:
    if len(words) < 2 or words[1] in ("-h", "--help", "help"):
        return "", 0
    if words[1].startswith("-"):
        raise _unknown(f"{group} {words[1]}")
    return f"{group} {words[1]}", 2


def _unknown(name: str) -> errors.UsageError:
    from gaovm.errors import suggestions

    meant = ELSEWHERE.get(name, name)
    remedy = suggestions.did_you_mean(meant, (*COMMANDS, *GROUPS), "gaovm {}")
    remedy = remedy or "gaovm help lists the commands"
    return errors.UsageError(f"there is no command {output.harmless(name)!r}", remedy=remedy)


def overview(group: str) -> str:
    """Return the overview: every command with a line about it, or only those of a group."""
    if group:
        lines = [f"Usage:  gaovm {group} COMMAND [options]", "", "Commands:"]
    else:
        lines = ["GaoVM: a virtual machine for each project directory.", ""]
        lines += ["Usage:  gaovm COMMAND [options]"]
    width = max(map(len, COMMANDS))
    for name, (_, _, about) in COMMANDS.items():
        if name in HIDDEN:
            continue
        if not group and name in HEADINGS:
            lines += ["", f"{HEADINGS[name]}:"]
        if not group or name.startswith(f"{group} "):
            lines.append(f"  {name:{width}}  {about}")
    if not group:
        lines += ["", "Start with:  gaovm init && gaovm up && gaovm shell"]
    lines.append("More about one:  gaovm help COMMAND")
    return "\n".join(lines)
