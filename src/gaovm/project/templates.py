"""The config files that ``gaovm init`` writes. Package data; ``render`` itself is pure."""

from __future__ import annotations

from gaovm import errors
from gaovm.errors import suggestions

NAMES = ("dev", "minimal")
GITIGNORE = """\
# the VM's own files never belong to the repository; its config does
*
!.gitignore
!config.yaml
"""


def read(name: str) -> str:
    """Return the text of a template, with its placeholders.

    Raises:
        errors.UsageError: there is no template of that name.
    """
    if name not in NAMES:
        raise errors.UsageError(
            f"there is no template {name!r}",
            remedy=suggestions.did_you_mean(name, NAMES) or f"use one of: {', '.join(NAMES)}",
        )
    import importlib.resources

    file = importlib.resources.files("gaovm.project") / "templates" / f"{name}.yaml"
    return file.read_text(encoding="utf-8")


def render(template_text: str, project_dir: str, project_name: str) -> str:
    """Return the template with ``{{PROJECT_DIR}}`` and ``{{PROJECT_NAME}}`` replaced.

    Templates put both between double quotes, and this function escapes them for that. So any
    directory name gives valid YAML that means exactly that name. Our own templates do not use the
    directory: the user commits the file, and a project's own mount needs no entry.
    """
    text = template_text.replace("{{PROJECT_NAME}}", _quoted(project_name))
    return text.replace("{{PROJECT_DIR}}", _quoted(project_dir))


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
