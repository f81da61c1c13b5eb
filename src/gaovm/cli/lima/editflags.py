"""The flags of ``create``, ``start``, ``edit`` and ``clone`` that change a config."""

from __future__ import annotations

from gaovm.cli import options
from gaovm.cli.lima import verb

Option = options.Option

#: Flags that take no value on the command line, and true or false in an expression.
_SWITCHES = (
    Option("--mount-none", "mount nothing of the host"),
    Option("--mount-writable", "make every mount writable"),
    Option("--mount-inotify", "let the guest's inotify see changes of the host"),
    Option("--nested-virt", "let the guest run VMs"),
    Option("--rosetta", "refused: it is part of macOS"),
    Option("--video", "give the VM a display"),
)
EDIT = (
    Option("--cpus", "number of processors", value="N"),
    Option("--memory", "memory in GiB", value="GIB"),
    Option("--disk", "size of the disk in GiB", value="GIB"),
    Option("--mount", "a directory to mount; :w makes it writable", value="DIR[:w]", many=True),
    Option("--mount-only", "like --mount, in place of the others", value="DIR[:w]", many=True),
    Option("--mount-type", "virtiofs, 9p or reverse-sshfs", value="TYPE"),
    Option("--network", "a further network", value="NAME", many=True),
    Option("--dns", "a name server, in place of the host's resolver", value="IP", many=True),
    Option("--set", "change the config by an expression of yq", value="EXPR", many=True),
    Option("--param", "set a param of the template", value="KEY=VALUE", many=True),
    Option("--ssh-port", "the host port of ssh", value="PORT"),
    Option("--vm-type", "the kind of VM (--list-drivers)", value="TYPE"),
    Option("--shell", "the user's shell", value="PATH"),
    *_SWITCHES,
)
_PLAIN = Option("--plain", "only a VM: no mounts, no forwards but static ones")
CREATE = (
    Option("--name", "the instance's name", value="NAME"),
    Option("--arch", "x86_64 or aarch64", value="ARCH"),
    Option("--containerd", "user, system, user+system or none", value="MODE"),
    Option("--port-forward", "a port to forward", value="HOST:GUEST[,static=true]", many=True),
    Option("--audio-device", "an audio device", value="NAME"),
    Option("--audio-interface", "an audio interface", value="NAME"),
    Option("--image-variant", "the variant of the image", value="NAME"),
    Option("--arch-variant", "the variant of the architecture", value="NAME"),
    _PLAIN,
    Option("--list-templates", "print the templates, and do nothing else"),
    Option("--list-drivers", "print the kinds of VM, and do nothing else"),
)
_NO_EXPRESSION = ("name", "list-templates", "list-drivers", "image-variant", "arch-variant")
#: What an instance keeps from the time it was made.
ONLY_NEW = ("arch", "containerd", "vm-type", "plain", "port-forward")


def words(parsed: options.Parsed, *, leave_out: tuple[str, ...] = ()) -> list[str]:
    """Return the flags that change a config, as pairs of flag and value."""
    switches = {option.key for option in (*_SWITCHES, _PLAIN)}
    found: list[str] = []
    for option in (*EDIT, *CREATE):
        key = option.key
        if key in _NO_EXPRESSION or key in leave_out:
            continue
        if key in switches:
            if parsed.flag(key) or parsed.flag(verb.NO + key):
                found += [f"--{key}", "true" if parsed.flag(key) else "false"]
            continue
        for value in parsed.many(key):
            found += [f"--{key}", value]
    return found
