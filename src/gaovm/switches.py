"""Every environment variable that GaoVM reads: the one table, from which the documents are made.

Pure data. The code that reads a variable names it itself; a test finds a variable that is read
somewhere and missing here.
"""

from __future__ import annotations

from typing import NamedTuple


class Switch(NamedTuple):
    """Describe one variable: who reads it (``readers``), and its value when unset (``default``)."""

    name: str
    about: str
    default: str
    readers: str


#: Users set these.
USER = (
    Switch(
        "GAOVM_HOME",
        "the directory of VMs, images and the daemon's socket",
        "`~/.gaovm`",
        "command line, daemon",
    ),
    Switch(
        "GAOVM_CACHE",
        "the directory of what images are made of",
        "`~/.cache/gaovm`",
        "command line, daemon, image build",
    ),
    Switch("VM_NAME", "the VM that a command is about when no name is given", "", "command line"),
    Switch(
        "GAOVM_IDLE_EXIT",
        "after how many seconds without work the daemon ends; 0: never",
        "900; 0 in a systemd unit",
        "daemon",
    ),
    Switch(
        "GAOVM_LOG_LEVEL",
        "what logs tell at least: error, warn, info or debug",
        "info",
        "daemon, driver",
    ),
    Switch(
        "GAOVM_UID_RANGE",
        "FIRST-LAST: the user ids from which VMs started by root have theirs, 65,536 each",
        "1879048192-2147352575",
        "driver",
    ),
    Switch(
        "GAOVM_REALTIME",
        "0: the daemon's threads run at a usual priority, never in real time",
        "real time, where the user may have it",
        "daemon, doctor",
    ),
    Switch(
        "NO_COLOR",
        "any value: no colour at a terminal; there is none elsewhere",
        "",
        "command line",
    ),
    Switch(
        "GAOVM_DEFAULT_VM",
        "the VM that clients of `gaovm.v1.2` see",
        "the VM called default",
        "daemon",
    ),
)
#: Lima's own, which our entry for its users reads as Lima does.
LIMA = (
    Switch(
        "LIMA_HOME",
        "the directory of instances; only its instances are listed then",
        "`$GAOVM_HOME/lima`; every VM is listed",
        "command line",
    ),
    Switch("LIMA_INSTANCE", "the instance when none is named", "default", "command line"),
    Switch("LIMA_SHELL", "the shell of `shell`", "the user's in the guest", "command line"),
    Switch("LIMA_WORKDIR", "where `shell` starts", "this directory, if mounted", "command line"),
    Switch(
        "LIMA_SHELLENV_ALLOW",
        "patterns, between commas, of the variables that `shell --preserve-env` passes on",
        "all that are not blocked",
        "command line",
    ),
    Switch(
        "LIMA_SHELLENV_BLOCK",
        "patterns of those that it does not; `+` before them adds to the usual ones",
        "those that mean something on the host only",
        "command line",
    ),
    Switch(
        "LIMA_TEMPLATES_PATH",
        "directories, between colons, where `template:NAME` is looked for first",
        "",
        "command line",
    ),
    Switch(
        "_LIMA_OUTPUT_IS_TTY", "any value: output is coloured as on a terminal", "", "command line"
    ),
    Switch("VISUAL", "the editor of `edit`", "`$EDITOR`", "command line"),
    Switch("EDITOR", "the editor of `edit`", "vi", "command line"),
)
#: Developers and tests set these; a wrong value makes VMs less safe, slower or unusable.
DEBUGGING = (
    Switch(
        "GAOVM_CONFINE",
        "`off`: hypervisors run without a cage ([security.md](security.md))",
        "on",
        "driver",
    ),
    Switch(
        "GAOVM_ENABLE_DRIVER_EXEC",
        "1: clients of `gaovm.v1.2` may call a driver directly",
        "0",
        "daemon",
    ),
    Switch(
        "GAOVM_BOOT_TIMEOUT_S",
        "how many seconds a guest's agent has to answer",
        "by accelerator",
        "driver",
    ),
    Switch("GAOVM_PROBE_TIMEOUT_S", "how many seconds a readiness probe has", "600", "driver"),
    Switch(
        "GAOVM_REHEARSAL",
        "0: a zygote rehearses no driver before it forks any; each takes more memory",
        "it rehearses",
        "zygote",
    ),
    Switch(
        "GAOVM_PLATFORM",
        "`portable`: use what any Unix has in place of Linux's own; without a cage",
        "Linux's own, on Linux",
        "all",
    ),
    Switch("GAOVM_HALT_AT", "the step at which a process stands still (`aio/steps.py`)", "", "all"),
    Switch("GAOVM_HALT_SOCKET", "the socket on which it says that it stands still", "", "all"),
    Switch("GAOVM_STEP_LOG", "the file to which every step that is reached is appended", "", "all"),
    Switch("GAOVM_FAKE_QEMU", "how the tests' hypervisor behaves, as JSON", "", "fake hypervisor"),
)
#: GaoVM's own processes set these for each other; nobody else does.
OWN = (
    Switch("GAOVM_DRIVER_TOKEN", "with what a driver says that it is the daemon's", "", "driver"),
    Switch("GAOVM_CGROUP_FD", "the descriptor of the guest's control groups", "", "agent"),
    Switch("GAOVM_INIT", "the name of the distribution's init", "", "agent"),
    Switch("GAOVM_JOURNAL", "what the agent has done so far", "", "agent"),
    Switch("GAOVM_LAST_FD", "the descriptor of the agent's port", "", "agent"),
    Switch(
        "GAOVM_LIFE_FD", "the descriptor by which the watcher knows of the agent's end", "", "agent"
    ),
    Switch("GAOVM_STARTED_NS", "when the guest's kernel started the agent", "", "agent"),
)
#: The system and its desktop set these.
SYSTEM = (
    Switch("HOME", "the user's home directory", "of the user database", "command line"),
    Switch("PWD", "the current directory as the shell names it", "its real path", "command line"),
    Switch(
        "TERM", "the kind of terminal; `dumb`: no colour and no progress line", "", "command line"
    ),
    Switch("DISPLAY", "the X server for a display's window", "", "command line, window"),
    Switch(
        "WAYLAND_DISPLAY", "the Wayland server for a display's window", "", "command line, window"
    ),
    Switch("QT_QPA_PLATFORM", "how Qt draws a display's window", "", "window"),
    Switch(
        "XDG_CONFIG_HOME", "where systemd looks for a user's units", "`~/.config`", "command line"
    ),
    Switch("XDG_RUNTIME_DIR", "where the user's systemd listens", "/run/user/UID", "command line"),
    Switch("SYSTEMD_EXEC_PID", "whether systemd started this process", "", "daemon"),
)
#: GaoVM hands these on: to the window of a display, to an image build.
HANDED_ON = (
    *(
        Switch(name, "the desktop on which a display's window opens", "", "command line")
        for name in (
            "XAUTHORITY",
            "XDG_SESSION_TYPE",
            "XDG_CURRENT_DESKTOP",
            "QT_SCALE_FACTOR",
            "XCURSOR_SIZE",
            "XCURSOR_THEME",
        )
    ),
    *(
        Switch(
            name,
            "the proxy of downloads and image builds, and of guests (`propagateProxyEnv`)",
            "",
            "command line, daemon, image build",
        )
        for name in (
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
        )
    ),
    Switch("all_proxy", "the proxy of downloads and image builds", "", "daemon, image build"),
    *(
        Switch(name, "the FTP proxy of guests (`propagateProxyEnv`)", "", "command line")
        for name in ("ftp_proxy", "FTP_PROXY")
    ),
    Switch("TMPDIR", "where an image build has its temporary files", "/tmp", "image build"),
    Switch("PATH", "where programs are found; a systemd unit keeps it", "", "command line, daemon"),
)
ALL = (*USER, *LIMA, *DEBUGGING, *OWN, *SYSTEM, *HANDED_ON)

_PARTS = (
    ("For users", USER),
    ("For users of Lima", LIMA),
    ("For debugging and tests", DEBUGGING),
    ("Between GaoVM's own processes", OWN),
    ("Set by the system", SYSTEM),
    ("Handed on", HANDED_ON),
)
_HEAD = """\
# Environment variables

Generated from `gaovm.switches`; `pytest tests/architecture --regenerate` rewrites it. The daemon
takes its own as they are when it starts, and hands them to its zygotes and drivers.
"""


def render_markdown() -> str:
    """``docs/environment.md``."""
    lines = [_HEAD]
    for heading, part in _PARTS:
        lines += [f"## {heading}", "", "| variable | what it says | without it | read by |"]
        lines.append("|---|---|---|---|")
        lines += [f"| `{s.name}` | {s.about} | {s.default} | {s.readers} |" for s in part]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"
