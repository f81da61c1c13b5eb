"""Read the files that a config names: bases, scripts, templates, the user's own defaults.

``clues`` reads those that say what a project is made with.

A config lies where a guest can write. So this module says which files outside the project it read:
a person approves them before they reach a guest (``spec.reach``).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from gaovm import errors
from gaovm.hostfacts import templates as listing
from gaovm.project import nodes, templates
from gaovm.project.detection import clues as names
from gaovm.project.lima import embedding

CONFIG = "_config"


@dataclass(frozen=True, slots=True)
class Clues:
    """The files that say what a project is made with.

    ``texts``: name -> text. ``marks``: files that are only there. ``unread``: name -> why.
    """

    texts: dict[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    unread: dict[str, str] = field(default_factory=dict)


class Files:
    """Reads from this host; may block on a network file system whose server is gone.

    ``outside``: the real paths of what it read by path outside of the project.
    """

    def __init__(self, home: Path, project: str) -> None:
        self._home = home
        self._project = project
        self.outside: list[str] = []

    def file(self, path: str) -> bytes:
        """Return the content of a regular file.

        Raises:
            embedding.Unavailable: there is none, or this user may not read it.
        """
        data, real = read(path)
        home = os.path.realpath(self._home)
        if _below(real, home) and not _below(real, f"{home}/{listing.DIRECTORY}"):
            # No mount shows it either, even where it lies in the project.
            raise embedding.Unavailable(
                f"it lies in GaoVM's own directory {self._home}", "copy it into the project"
            )
        if not _below(real, os.path.realpath(self._project)) and real not in self.outside:
            self.outside.append(real)
        return data

    def template(self, name: str) -> bytes:
        """Return a template of the user's, else one of ours.

        Raises:
            embedding.Unavailable: there is none of that name.
        """
        try:
            return template(self._home, name, self._project)
        except errors.UsageError as exc:
            raise embedding.Unavailable(exc.message, exc.remedy or "") from exc

    def config(self, name: str) -> bytes | None:
        """Return a file of the user's own ``_config``; None: there is no such file.

        Raises:
            errors.ConfigError: it is there, and this user may not read it.
        """
        path = self._home / CONFIG / name
        try:
            return read(str(path))[0]
        except embedding.Unavailable as exc:
            if os.path.lexists(path):
                raise errors.ConfigError(f"{path}: {exc.reason}", remedy=exc.remedy) from exc
            return None

    def complete(self) -> bool:
        """Return True: it reads whatever there is."""
        return True


class Gathered:
    """A resolver that blocks on nothing of a user's: it notes which files it lacks.

    ``lacking`` has the paths that a load asked for in vain. The caller reads them (``fetch``, in a
    thread that may block) and loads again.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: dict[str, bytes | embedding.Unavailable] = {}
        self.lacking: list[str] = []
        #: What was parsed, for the load that is tried again.
        self.trees: dict[str, nodes.Table] = {}

    @property
    def outside(self) -> list[str]:
        """The files outside the project that were read."""
        return self._files.outside

    def file(self, path: str) -> bytes:
        """Return what was fetched; an empty text for what was not."""
        known = self._known.get(path)
        if known is None:
            self.lacking.append(path)
            return b""
        if isinstance(known, embedding.Unavailable):
            raise known
        return known

    def template(self, name: str) -> bytes:
        """Return a template; these are GaoVM's own files."""
        return self._files.template(name)

    def config(self, name: str) -> bytes | None:
        """Return a file of the user's own ``_config``."""
        return self._files.config(name)

    def complete(self) -> bool:
        """Return whether nothing is lacking."""
        return not self.lacking

    def fetch(self) -> None:
        """Read what is lacking. This may block."""
        for path in self.lacking:
            try:
                self._known[path] = self._files.file(path)
            except embedding.Unavailable as exc:
                self._known[path] = exc
        self.lacking = []


def read(path: str) -> tuple[bytes, str]:
    """Return the bytes of a regular file, one more than allowed at most, and its real path.

    Raises:
        embedding.Unavailable: it cannot be read.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its writer
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "no path of a file"
        raise embedding.Unavailable(str(reason), "make the file, or correct its path") from exc
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise embedding.Unavailable("not a regular file", "give the path of a file")
        with open(fd, "rb", closefd=False) as file:
            return file.read(embedding.MAX_BYTES + 1), _real(fd, path)
    except OSError as exc:
        raise embedding.Unavailable(str(exc.strerror), "see the file system's errors") from exc
    finally:
        os.close(fd)


def template(home: Path, name: str, project: str) -> bytes:
    """Return the file of a template: ``name`` below the user's templates, else one of ours.

    Raises:
        errors.UsageError: there is none of that name.
    """
    path = home / listing.DIRECTORY / name
    try:
        return read(str(path))[0]
    except embedding.Unavailable as exc:
        if os.path.lexists(path):
            raise errors.UsageError(f"{path}: {exc.reason}", remedy=exc.remedy) from exc
    word = name.removesuffix(".yaml")
    if word not in templates.NAMES and word not in templates.PARTS:
        raise listing.missing(str(home), word)
    text = templates.render(templates.read(word), project, Path(project).name)
    return text.encode()


def clues(directory: Path) -> Clues:
    """Read the files of a project that detection looks at. Raises nothing: it notes what failed.

    No symbolic link is followed: a guest could point one at any file of this user's.
    """
    found = Clues(marks=frozenset(name for name in names.MARKS if _is_file(directory / name)))
    for name in names.READ:
        if name.partition("/")[1] and (directory / name).parent.is_symlink():
            continue
        try:
            text = _text(directory / name)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue
        except OSError as exc:
            found.unread[name] = str(exc.strerror)
        except UnicodeDecodeError:
            found.unread[name] = "not UTF-8"
        except ValueError as exc:
            found.unread[name] = str(exc)
        else:
            found.texts[name] = text
    return found


def _below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _real(fd: int, path: str) -> str:
    """Return where an open file lies: links of its path may lead elsewhere by now."""
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return os.path.realpath(path)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _text(path: Path) -> str:
    """Return the text of a regular file.

    Raises:
        OSError: the system refused; also for a symbolic link.
        ValueError: it is no regular file, too large, or no UTF-8.
    """
    # O_NONBLOCK: opening a FIFO must not wait for its writer
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
    fd = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("not a regular file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(names.MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > names.MAX_BYTES:
        raise ValueError(f"larger than {names.MAX_BYTES >> 10} KiB")
    return data.decode("utf-8-sig")
