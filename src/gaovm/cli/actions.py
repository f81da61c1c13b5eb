"""Render the actions of errors as command lines. Only an error that has actions loads this."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaovm.errors import Action

#: Action code -> words after ``gaovm``. ``words`` drops a word whose argument is missing.
COMMANDS = {
    "make_vm": "up",
    "make_vm_as": "up --name={new_name}",
    "start_vm": "up {name}",
    "wait_for_vm": "up {name}",
    "restart_vm": "restart {name}",
    "stop_vm": "stop {name}",
    "force_stop_vm": "stop --force {name}",
    "resume_vm": "resume {name}",
    "destroy_vm": "destroy {name}",
    "unprotect_vm": "unprotect {name}",
    "adopt_vm": "adopt",
    "force_adopt_vm": "adopt --force {name}",
    "approve_project": "up --yes",
    "list_vms": "ls",
    "show_vm": "status {name}",
    "open_shell": "shell {name}",
    "list_guest_jobs": "exec --name={name} -- systemctl list-jobs",
    "take_screenshot": "display screenshot {name}",
    "set_config": "set {name} {key}={value}",
    "list_config_keys": "help set",
    "list_templates": "template ls",
    "list_ports": "port ls {name}",
    "show_logs": "logs {name}",
    "show_console": "logs --serial {name}",
    "show_driver_log": "logs --driver {name}",
    "show_provision_log": "logs --provision {name}",
    "show_daemon_log": "logs --daemon",
    "list_disks": "disk ls",
    "create_disk": "disk create {disk} --size={size}",
    "remove_disk": "disk rm {disk}",
    "list_images": "image ls",
    "build_image": "image build {image}",
    "remove_image": "image rm {image}",
    "prune_images": "image prune",
    "start_daemon": "daemon start",
    "upgrade_daemon": "daemon upgrade --timeout={timeout}",
    "stop_daemon": "daemon stop",
    "check_host": "doctor",
}


def words(action: Action) -> list[str]:
    """Return the words of the command that does the action, without ``gaovm``."""
    args, found = action.args, []
    for word in COMMANDS[action.code].split():
        try:
            found.append(word.format(**args))
        except KeyError:  # an optional argument is missing
            continue
    return found


def command(action: Action) -> str:
    """Return the command line that does the action, quoted for a shell."""
    import shlex

    return f"gaovm {shlex.join(words(action))}"


def lines(actions: Sequence[Action]) -> list[str]:
    """Return a command line for each action; where there are several, each says what it does."""
    if len(actions) == 1:
        return [command(actions[0])]
    commands = [command(action) for action in actions]
    width = max(map(len, commands), default=0)
    return [
        f"{line:{width}}  # {action.about}" for line, action in zip(commands, actions, strict=True)
    ]
