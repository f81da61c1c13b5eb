"""Actions against an error: a code with arguments, such as ``Action("resume_vm", name="web")``.

The code that raises an error names actions. Each front end renders them in its own terms: the
command line as commands (``cli/actions.py``), a server as calls. ``KNOWN`` is the one table of
codes and their arguments. Hot commands load this module, so it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Known:
    """Describe one action: what it does, the arguments it needs, and those it may have.

    ``about`` is an imperative that fits any front end. It may hold needed arguments in braces.
    """

    __slots__ = ("about", "may", "needs")

    def __init__(self, about: str, needs: tuple[str, ...] = (), may: tuple[str, ...] = ()) -> None:
        self.about = about
        self.needs = needs
        self.may = may


_NAME = ("name",)

#: Action code -> what it does. ``name`` is the name of a VM; without it, the VM that the failed
#: call was about.
KNOWN = {
    # one VM
    "make_vm": Known("make or start the VM of this project"),
    "make_vm_as": Known("make this project's VM with the name {new_name}", ("new_name",)),
    "start_vm": Known("start the VM and wait until it is ready", may=_NAME),
    "wait_for_vm": Known("wait until the VM is ready", may=_NAME),
    "restart_vm": Known("stop the VM and start it again", may=_NAME),
    "stop_vm": Known("shut the VM down", may=_NAME),
    "force_stop_vm": Known("end the VM at once", may=_NAME),
    "resume_vm": Known("let the paused VM go on", may=_NAME),
    "destroy_vm": Known("remove the VM and its disk", may=_NAME),
    "unprotect_vm": Known("allow to remove the VM", may=_NAME),
    "adopt_vm": Known("take over a VM whose directory is gone"),
    "force_adopt_vm": Known("take the VM away from its directory", may=_NAME),
    "approve_project": Known("approve the project file as it is now"),
    "list_vms": Known("list the VMs"),
    "show_vm": Known("show how the VM is", may=_NAME),
    # inside of one
    "open_shell": Known("open a shell in the VM", may=_NAME),
    "list_guest_jobs": Known("show what the guest's boot waits for", may=_NAME),
    "take_screenshot": Known("take a picture of the VM's display", may=_NAME),
    # its config and ports
    "set_config": Known("set {key} to {value} over the project file", ("key", "value"), _NAME),
    "list_config_keys": Known("list the keys of the config"),
    "list_templates": Known("list the templates"),
    "list_ports": Known("list the forwarded ports of the VM", may=_NAME),
    # logs
    "show_logs": Known("show the VM's logs", may=_NAME),
    "show_console": Known("show what the guest wrote to its console", may=_NAME),
    "show_driver_log": Known("show the log of the VM's driver", may=_NAME),
    "show_provision_log": Known("show the output of the VM's scripts", may=_NAME),
    "show_daemon_log": Known("show the daemon's log"),
    # named disks
    "list_disks": Known("list the disks"),
    "create_disk": Known("make the disk {disk}", ("disk", "size")),
    "remove_disk": Known("remove the disk {disk} and all that is on it", ("disk",)),
    # images, the daemon, this machine
    "list_images": Known("list the images"),
    "build_image": Known("build the image {image}", ("image",)),
    "remove_image": Known("remove the image {image}", ("image",)),
    "prune_images": Known("remove the images that no VM uses"),
    "start_daemon": Known("start the daemon"),
    "upgrade_daemon": Known("upgrade the daemon, with more patience", may=("timeout",)),
    "stop_daemon": Known("stop the VMs and the daemon"),
    "check_host": Known("check what this machine offers and lacks"),
}


class Action:
    """Name one thing to do: a code of ``KNOWN`` with its arguments. Immutable and hashable.

    Raises:
        ValueError: there is no such action, or it takes other arguments.
    """

    __slots__ = ("_args", "_code")

    def __init__(self, code: str, /, **args: str) -> None:
        # positional only: a peer may send an argument called "code" or "self"
        known = KNOWN.get(code)
        if known is None:
            raise ValueError(f"there is no action {code!r}")
        if set(args) - {*known.needs, *known.may} or set(known.needs) - set(args):
            raise ValueError(f"the action {code} does not take {sorted(args)}")
        self._code = code
        self._args = args

    @property
    def code(self) -> str:
        """Return the code in ``KNOWN``."""
        return self._code

    @property
    def args(self) -> dict[str, str]:
        """Return a copy of the arguments."""
        return dict(self._args)

    @property
    def about(self) -> str:
        """Say what it does, in words that fit any front end."""
        return KNOWN[self._code].about.format(**self._args)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Action):
            return NotImplemented
        return (self._code, self._args) == (other._code, other._args)

    def __hash__(self) -> int:
        return hash((self._code, frozenset(self._args.items())))

    def __repr__(self) -> str:
        args = "".join(f", {key}={value!r}" for key, value in self._args.items())
        return f"Action({self._code!r}{args})"


def sentence(actions: Sequence[Action]) -> str:
    """Return one line that says what the actions do; empty for no actions."""
    return "; ".join(action.about for action in actions)


def naming(actions: Sequence[Action], name: str) -> tuple[Action, ...]:
    """Add the VM's name to each action that takes one and has none.

    A driver knows one VM only and leaves the name out; the daemon or the client adds it.
    """
    return tuple(
        Action(action.code, **{**action.args, "name": name})
        if "name" in KNOWN[action.code].may and "name" not in action.args
        else action
        for action in actions
    )


def to_wire(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """Return the actions as JSON data: ``[{"code": …, "args": {…}}]``."""
    return [{"code": action.code, "args": action.args} for action in actions]


def from_wire(data: object) -> tuple[Action, ...]:
    """Read actions from JSON data; skip whatever this version does not know."""
    return tuple(
        action
        for each in (data if isinstance(data, list | tuple) else ())
        if isinstance(each, dict) and (action := _action(each)) is not None
    )


def _action(data: Mapping[str, Any]) -> Action | None:
    code, args = data.get("code"), data.get("args", {})
    if not isinstance(code, str) or not isinstance(args, dict):
        return None
    if not all(isinstance(each, str) for pair in args.items() for each in pair):
        return None
    try:
        return Action(code, **args)
    except ValueError:
        return None
