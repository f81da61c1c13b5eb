"""Ruby: ``Gemfile``, read by its ``gem`` and ``ruby`` lines; it is a program, and is never run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gaovm.project.detection import clues, finding, versions

_THERE = (3, 1)
_GEM = re.compile(r"^[ \t]*gem[ \t(]+['\"]([\w-]{1,100})['\"]", re.MULTILINE)
_RUBY = re.compile(r"^[ \t]*ruby[ \t(]+['\"]([^'\"\n]{1,40})['\"]", re.MULTILINE)
_LIBRARIES: dict[str, tuple[str, ...]] = {
    "rails": ("libyaml-dev", "libssl-dev"),
    "pg": ("libpq-dev",),
    "sqlite3": ("libsqlite3-dev", "pkg-config"),
    "mysql2": ("default-libmysqlclient-dev",),
}
_SERVERS: dict[str, tuple[str, int]] = {
    "rails": ("Rails", 3000),
    "sinatra": ("Sinatra", 4567),
    "jekyll": ("Jekyll", 4000),
    "github-pages": ("Jekyll", 4000),
    "hanami": ("Hanami", 2300),
    "middleman": ("Middleman", 4567),
    "rackup": ("rackup", 9292),
}


def find(files: Mapping[str, str]) -> finding.Finding | None:
    """Return what a ``Gemfile`` says; None without one."""
    text = files.get(clues.GEMFILE[0])
    if text is None:
        return None
    gems = {match[1] for match in _GEM.finditer(text)}
    packages = ["ruby", "ruby-dev", "bundler", "build-essential"]
    for gem, more in _LIBRARIES.items():
        packages += more if gem in gems else ()
    version = _RUBY.search(text)
    return finding.Finding(
        name="Ruby",
        files=clues.GEMFILE,
        packages=tuple(dict.fromkeys(packages)),
        ports=finding.ports([(p, n) for key, (n, p) in _SERVERS.items() if key in gems]),
        notes=versions.note("Ruby", version[1] if version else None, _THERE),
    )
