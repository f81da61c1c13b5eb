"""Names of VMs: Lima's identifier rule, the name a directory gets, the guest's host name.

Every command loads this module, so it imports next to nothing.
"""

from __future__ import annotations

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LENGTH = 76
_MAX_HOSTNAME = 63
_SUFFIX = "-dev"
_SEPARATORS = "._-"
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def is_valid(name: str) -> bool:
    """Return whether a name is valid: letters and digits with single ``.``, ``_``, ``-`` between.

    It has at most 76 characters and does not end in ``.yml`` or ``.yaml``.
    """
    if not 0 < len(name) <= MAX_LENGTH or name.lower().endswith((".yml", ".yaml")):
        return False
    previous = "."
    for char in name:
        if char not in _ALNUM and (char not in _SEPARATORS or previous in _SEPARATORS):
            return False
        previous = char
    return previous in _ALNUM


def check(name: str) -> str:
    """Return the name if it is valid.

    Raises:
        errors.UsageError: the name breaks the rule; the remedy suggests a valid one.
    """
    if not is_valid(name):
        shown = name if len(name) <= MAX_LENGTH else name[:MAX_LENGTH] + "…"
        raise errors.UsageError(
            f"{shown!r} is not a valid VM name: letters and digits with single . _ - between them, "
            f"at most {MAX_LENGTH}, not ending in .yml or .yaml",
            remedy=f"for example: {slug(name) or 'project'}",
        )
    return name


def slug(text: str, limit: int = MAX_LENGTH) -> str:
    """Return the nearest valid name in lower case, at most ``limit`` long; may be empty."""
    result = _words(text, limit)
    return result.replace(".", "-") if result.endswith((".yml", ".yaml")) else result


def _words(text: str, limit: int) -> str:
    """Return a ``slug`` that is not the end of a name, so that any ending is allowed."""
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in text if not unicodedata.combining(char))
    result = ""
    for char in text.lower():
        if char in _ALNUM:
            result += char
        elif result and result[-1] in _ALNUM:
            result += char if char in _SEPARATORS else "-"
    return result[:limit].rstrip(_SEPARATORS)


def of_directory(project_dir: str) -> str:
    """Return the name of a project directory's VM: the directory's slug and ``-dev``."""
    last = project_dir.rstrip("/").rpartition("/")[2]
    return (_words(last, MAX_LENGTH - len(_SUFFIX)) or "project") + _SUFFIX


def of_directories(project_dir: str) -> Iterator[str]:
    """Yield ``of_directory``, then numbered names, for further directories of the same name."""
    usual = of_directory(project_dir)
    yield usual
    number = 2
    while True:
        suffix = f"-{number}{_SUFFIX}"
        stem = usual.removesuffix(_SUFFIX)[: MAX_LENGTH - len(suffix)].rstrip(_SEPARATORS)
        yield stem + suffix
        number += 1


def vm_name(flag: str | None, env: str | None, project_dir: str) -> str:
    """Return ``--name``, else ``VM_NAME``, else the directory's name; empty texts do not count.

    Raises:
        errors.UsageError: the given name breaks the rule.
    """
    explicit = flag or env
    return check(explicit) if explicit else of_directory(project_dir)


def hostname(name: str) -> str:
    """Return the guest's host name: the VM name with dashes only, at most 63 characters."""
    return name.replace(".", "-").replace("_", "-")[:_MAX_HOSTNAME].rstrip("-")
