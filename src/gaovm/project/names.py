"""Names of VMs: Lima's identifier rule, the name a directory gets, the guest's host name.

On the path of every command, so it imports next to nothing.
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
    """Whether a name is one: letters and digits, single ``.``, ``_`` or ``-`` between them.

    At most 76 characters, not ending in ``.yml`` or ``.yaml``.
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
    """The name itself.

    Raises:
        errors.UsageError: it breaks the rule; the remedy holds a name that does not.
    """
    if not is_valid(name):
        shown = name if len(name) <= MAX_LENGTH else name[:MAX_LENGTH] + "…"
        raise errors.UsageError(
            f"{shown!r} is no VM name: letters and digits with single . _ - between them, "
            f"at most {MAX_LENGTH}, not ending in .yml or .yaml",
            remedy=f"for example: {slug(name) or 'project'}",
        )
    return name


def slug(text: str, limit: int = MAX_LENGTH) -> str:
    """The nearest valid name in lower case, at most ``limit`` long; may be empty."""
    result = _words(text, limit)
    return result.replace(".", "-") if result.endswith((".yml", ".yaml")) else result


def _words(text: str, limit: int) -> str:
    """As ``slug``, for what is not the end of a name."""
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
    """The name of a project directory's VM: its slug and ``-dev``."""
    last = project_dir.rstrip("/").rpartition("/")[2]
    return (_words(last, MAX_LENGTH - len(_SUFFIX)) or "project") + _SUFFIX


def of_directories(project_dir: str) -> Iterator[str]:
    """As ``of_directory``, then with a number for each further directory of that name."""
    usual = of_directory(project_dir)
    yield usual
    number = 2
    while True:
        suffix = f"-{number}{_SUFFIX}"
        stem = usual.removesuffix(_SUFFIX)[: MAX_LENGTH - len(suffix)].rstrip(_SEPARATORS)
        yield stem + suffix
        number += 1


def vm_name(flag: str | None, env: str | None, project_dir: str) -> str:
    """``--name`` over ``VM_NAME`` over the directory's own. An empty text counts as not given.

    Raises:
        errors.UsageError: the name given breaks the rule.
    """
    explicit = flag or env
    return check(explicit) if explicit else of_directory(project_dir)


def hostname(name: str) -> str:
    """The guest's host name: a VM name with dashes only, at most 63 characters."""
    return name.replace(".", "-").replace("_", "-")[:_MAX_HOSTNAME].rstrip("-")
