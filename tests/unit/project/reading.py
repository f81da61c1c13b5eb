"""Loads a config text for tests: with one caller, one project and short errors."""

from __future__ import annotations

from gaovm import errors
from gaovm.project import config, context
from gaovm.project.lima import embedding

CALLER = context.Caller("ann", 1000, 1001, "/home/ann", "Ann: Example,,,")
ROOT = context.Caller("root", 0, 0, "/root")
PROJECT = "/home/ann/p"
IMAGE = 'images: [{location: "debian:12"}]\n'


class Files:
    """A resolver over texts: paths, ``template:NAME.yaml``, and the user's own ``config:NAME``."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self.files = files

    def file(self, path: str) -> bytes:
        return self._find(path)

    def template(self, name: str) -> bytes:
        return self._find(f"template:{name}")

    def config(self, name: str) -> bytes | None:
        return self._find(f"config:{name}") if f"config:{name}" in self.files else None

    def complete(self) -> bool:
        return True

    def _find(self, name: str) -> bytes:
        if name not in self.files:
            raise embedding.Unavailable("No such file or directory", "make the file")
        found = self.files[name]
        return found if isinstance(found, bytes) else found.encode()


def load(
    text: str,
    caller: context.Caller = CALLER,
    project: str = PROJECT,
    arch: str = "x86_64",
    resolver: embedding.Resolver | None = None,
) -> config.Loaded:
    """Return the spec of a text."""
    host = context.Host("aarch64" if arch == "aarch64" else "x86_64", "/g/vms/p-dev")
    return config.load(text, "c.yaml", caller, project, "p-dev", host, resolver=resolver)


def problems(text: str, caller: context.Caller = CALLER, project: str = PROJECT) -> list[str]:
    """Return a text's problems as ``LINE path: message``; an empty list if there are none."""
    try:
        load(text, caller, project)
    except errors.ConfigError as exc:
        found = exc.details["problems"]
        lines = [f"c.yaml:{p['line']}: " + (f"{p['path']}: " if p["path"] else "") for p in found]
        assert str(exc).startswith(lines[0])
        return [f"{p['line']} {p['path']}: {p['message']}" for p in found]
    return []


def problem(text: str, caller: context.Caller = CALLER) -> str:
    """Return the only problem of a text."""
    found = problems(text, caller)
    assert len(found) == 1, found
    return found[0]


def with_image(text: str) -> str:
    """Add an image to a text, on its own line at the end, so that line numbers stay."""
    return text.rstrip("\n") + "\n" + IMAGE
