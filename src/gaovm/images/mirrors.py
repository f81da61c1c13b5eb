"""Choose the sources of a build's packages: the host's own apt sources, if they have the suite.

The parsers are pure; ``host_sources`` reads the host. A mirror of the user overrides all of it. If
the host has none, mmdebstrap uses its own default. This module knows no host names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors

APT_DIR = Path("/etc/apt")
_MAX_FILE_BYTES = 1 << 20
_URI = re.compile(r"https?://[^\s\[\]\"]+\Z")
_MIRROR = re.compile(r"(https?|file)://[^\s\[\]\"]+\Z")
# The host's apt settings that decide whether apt can use a mirror. The image decides the others.
_BUILD_SETTING = re.compile(
    r"Acquire::(https?::|Retries|Check-Valid-Until|Check-Date)", re.IGNORECASE
)
_GUEST_SETTING = re.compile(r"Acquire::(Check-Valid-Until|Check-Date)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A repository: a URI, a suite, its components, and the path of the keyring that signs it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None = None
    trusted: bool = False

    def line(self) -> str:
        """Return the entry in the form of sources.list."""
        options = [f"signed-by={self.signed_by}"] if self.signed_by else []
        options += ["trusted=yes"] if self.trusted else []
        middle = f" [{' '.join(options)}]" if options else ""
        return f"deb{middle} {self.uri} {self.suite} {' '.join(self.components)}"


def parse_list(text: str) -> list[Source]:
    """Parse the ``deb`` entries of a one-line-style file; skip lines of any other form."""
    found = []
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        match = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", line)
        if match is None:
            continue
        pairs = (word.partition("=") for word in (match[1] or "").split())
        options = {key.lower(): value for key, _, value in pairs}
        found.append(
            Source(
                uri=match[2],
                suite=match[3],
                components=tuple(match[4].split()),
                signed_by=_keyring(options.get("signed-by", "")),
                trusted=options.get("trusted") == "yes",
            )
        )
    return found


def parse_deb822(text: str) -> list[Source]:
    """Parse the enabled ``deb`` entries of a ``.sources`` file."""
    found = []
    for paragraph in re.split(r"\n[ \t]*\n", "\n".join(_without_comments(text))):
        fields = _fields(paragraph)
        if (
            "deb" not in fields.get("types", "").split()
            or fields.get("enabled", "").lower() == "no"
        ):
            continue
        found += [
            Source(
                uri=uri,
                suite=suite,
                components=tuple(fields.get("components", "").split()),
                signed_by=_keyring(fields.get("signed-by", "")),
                trusted=fields.get("trusted", "").lower() == "yes",
            )
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def choose(sources: list[Source], suite: str, components: tuple[str, ...]) -> list[Source]:
    """Choose the entries for a build of ``suite``: one for it, one each for updates and security.

    The list is empty when no source has the suite. It has updates and security only if a source has
    them: an image gets the sources that its host trusts, and no others.
    """
    chosen = []
    for wanted in (suite, f"{suite}-updates", f"{suite}-security"):
        for source in sources:
            kept = tuple(c for c in components if c in source.components)
            if source.suite.rstrip("/") == wanted and kept and _URI.match(source.uri):
                chosen.append(
                    Source(
                        uri=source.uri,
                        suite=wanted,
                        components=kept,
                        signed_by=source.signed_by,
                        trusted=source.trusted,
                    )
                )
                break
        if not chosen:
            return []
    return chosen


def explicit(mirror: str, suite: str, components: tuple[str, ...]) -> list[Source]:
    """Make the entry of a mirror that the user names. Raises: UsageError when it is not a URL."""
    if not _MIRROR.match(mirror):
        raise errors.UsageError(
            f"mirror {mirror!r} is not an http, https or file URL",
            field="mirror",
            remedy="give the URL of a Debian mirror, without spaces",
        )
    return [Source(uri=mirror, suite=suite, components=components)]


def host_sources(apt_dir: Path = APT_DIR) -> list[Source]:
    """Return all enabled entries of the host's apt in its order; none on a host without apt."""
    found = parse_list(_read(apt_dir / "sources.list"))
    parts = apt_dir / "sources.list.d"
    for path in sorted(parts.iterdir()) if parts.is_dir() else []:
        if path.suffix == ".list":
            found += parse_list(_read(path))
        elif path.suffix == ".sources":
            found += parse_deb822(_read(path))
    return found


def build_settings(dump: str) -> str:
    """Filter ``apt-config dump``: the proxies and validity checks, as an apt.conf for the build."""
    return _filtered(dump, _BUILD_SETTING)


def guest_settings(dump: str) -> str:
    """Filter ``apt-config dump``: the settings to accept the same mirrors in guests; no proxy."""
    return _filtered(dump, _GUEST_SETTING)


def _filtered(dump: str, wanted: re.Pattern[str]) -> str:
    lines = [line for line in dump.splitlines() if wanted.match(line) and not line.endswith(' "";')]
    return "".join(f"{line}\n" for line in ['Acquire::Languages "none";', *lines])


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _keyring(value: str) -> str | None:
    """Return a keyring that is a path; None for inline keys and fingerprints (apt's keys serve)."""
    word = value.strip()
    return word if re.fullmatch(r"/[^\s,\[\]]+", word) else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
