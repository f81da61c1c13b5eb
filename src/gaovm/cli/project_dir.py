"""Find the project of the current directory, and read its config file."""
# pathlib costs 5 ms, and this module is on the path of every command
# ruff: noqa: PTH109, PTH118, PTH120

from __future__ import annotations

import os

from gaovm import errors

CONFIG = ".lima/config.yaml"
_CONFIG_LIMIT = 256 << 10  # the same limit as the parser's


class Project:
    """A project directory and its config file, both absolute."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.config = os.path.join(directory, CONFIG)

    def text(self) -> str:
        """Read the config file.

        Raises:
            errors.ConfigError: it cannot be read, is larger than 256 KiB or is not UTF-8.
        """
        try:
            # O_NONBLOCK: opening a FIFO must not wait for its writer
            fd = os.open(self.config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                # None: a FIFO whose writer has written nothing yet
                data = file.read(_CONFIG_LIMIT + 1) or b""
        except OSError as exc:
            raise errors.ConfigError(f"{self.config}: {exc.strerror}") from exc
        if len(data) > _CONFIG_LIMIT:
            limit = f"{_CONFIG_LIMIT >> 10} KiB"
            raise errors.ConfigError(f"{self.config} is larger than {limit}")
        return decoded(data, self.config)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a config file.

    Raises:
        errors.ConfigError: it is not UTF-8; the message has its name and line.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise errors.ConfigError(
            f"{name}:{line}: not UTF-8: the byte 0x{data[exc.start]:02x}",
            remedy="save the file as UTF-8",
        ) from exc


def find_project() -> Project | None:
    """Return the nearest project upwards from the current directory, by its config file."""
    directory = working_directory()
    while True:
        if os.path.lexists(os.path.join(directory, CONFIG)):
            return Project(directory)
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def need_project() -> Project:
    """Find the project, or fail.

    Raises:
        errors.UsageError: there is none.
    """
    project = find_project()
    if project is None:
        raise errors.UsageError(
            f"there is no {CONFIG} here or above",
            remedy="gaovm init makes one; for a VM of another project give its NAME (gaovm ls)",
        )
    return project


def working_directory() -> str:
    """Return the real path of the current directory.

    Raises:
        errors.UsageError: it was removed.
    """
    try:
        return os.getcwd()
    except OSError as exc:
        raise errors.UsageError(f"the current directory cannot be used: {exc.strerror}") from exc
