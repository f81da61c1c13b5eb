"""The config files that ``gaovm init`` and ``sysinit-vm init`` write, from ``lima/templates``.

An installed package carries a copy. ``render`` itself is pure.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.errors import suggestions

NAMES = ("dev", "minimal", "docker", "docker-rootful", "podman", "podman-rootful")
#: What other templates, ``sysinit-vm init`` and ``gaovm lima`` take in; none for ``init``.
PARTS = ("_common", "project-template", "default")
TASKFILE = "Taskfile.yml"
GITIGNORE = """\
# the VM's own files never belong to the repository; its config does
*
!.gitignore
!config.yaml
"""
#: What ``sysinit-vm init`` writes instead: the state files of Lima, whose projects it shares.
LIMA_GITIGNORE = """\
# Lima VM state files
*.sock
*.pid
ha.log
serial.log
"""


def read(name: str) -> str:
    """Return the text of a template, with its placeholders.

    Raises:
        errors.UsageError: there is no template of that name.
    """
    if name not in NAMES and name not in PARTS:
        raise errors.UsageError(
            f"there is no template {name!r}",
            remedy=suggestions.did_you_mean(name, NAMES) or f"use one of: {', '.join(NAMES)}",
        )
    return _file(f"{name}.yaml")


def taskfile() -> str:
    """Return the text of the file that gives ``task`` the commands ``lima:init`` and so on."""
    return _file(TASKFILE)


def _file(name: str) -> str:
    """Return a file of the installed package's; in a checkout there is no copy, but the file."""
    import importlib.resources

    package = importlib.resources.files("gaovm.project")
    installed = package / "templates" / name
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    checkout = package / ".." / ".." / ".."
    folder = checkout if name == TASKFILE else checkout / "lima" / "templates"
    return (folder / name).read_text(encoding="utf-8")


def render(template_text: str, project_dir: str, project_name: str, template: str = "dev") -> str:
    """Return the template with its placeholders replaced.

    They are ``{{PROJECT_DIR}}``, ``{{PROJECT_NAME}}`` and ``{{TEMPLATE}}``. Templates put each
    between double quotes, and this function escapes them for that. So any directory name gives
    valid YAML that means exactly that name, also one that looks like a placeholder. ``dev`` and
    ``minimal`` do not use the directory: the user commits the file, and a project's own mount needs
    no entry.
    """
    values = {"PROJECT_DIR": project_dir, "PROJECT_NAME": project_name, "TEMPLATE": template}
    first, *parts = template_text.split("{{")
    text = first
    for part in parts:
        name, closed, rest = part.partition("}}")
        known = bool(closed) and name in values
        text += _quoted(values[name]) + rest if known else "{{" + part
    return text


def _quoted(text: str) -> str:
    """Return the inside of a double-quoted YAML scalar."""
    result = ""
    for char in text:
        if char in '"\\':
            result += "\\" + char
        elif char.isprintable() and ord(char) < 0x10000:
            result += char
        else:
            result += f"\\U{ord(char):08x}"
    return result
