"""The entry point: the texts of a project's files -> what it is made with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from gaovm.project.detection import compiled, containers, finding, node, python, reading, ruby


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What was found, in a fixed order; ``unreadable``: kinds of project with a broken file."""

    findings: tuple[finding.Finding, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages, each once."""
        return tuple(dict.fromkeys(p for each in self.findings for p in each.packages))

    @property
    def ports(self) -> tuple[finding.Port, ...]:
        """All ports, each once; the first reason counts."""
        return finding.ports([(p.number, p.why) for each in self.findings for p in each.ports])


def lacking(found: Detected, installed: Collection[str]) -> Detected:
    """Return what was found without packages that the config installs already.

    A config with Podman needs no Docker beside it.
    """
    engine = {"docker.io", "podman"} & set(installed)
    return replace(
        found,
        findings=tuple(
            replace(
                each,
                packages=()
                if each.docker and engine
                else tuple(package for package in each.packages if package not in installed),
                docker=each.docker and not engine,
            )
            for each in found.findings
        ),
    )


def detect(files: Mapping[str, str], marks: Collection[str] = ()) -> Detected:
    """Say what a project is made with.

    ``files``: name -> text of files in ``reading.READ`` that are there. ``marks``: names in
    ``reading.MARKS`` that are there. Raises nothing: a broken file is listed.
    """
    kinds: tuple[tuple[str, Callable[[], finding.Finding | None]], ...] = (
        ("Node.js", lambda: node.find(files, marks)),
        ("Python", lambda: python.find(files, marks)),
        ("Go", lambda: compiled.find_go(files)),
        ("Rust", lambda: compiled.find_rust(files)),
        ("Ruby", lambda: ruby.find(files)),
        ("Docker", lambda: containers.find(files)),
    )
    findings: list[finding.Finding] = []
    unreadable: list[str] = []
    for name, kind in kinds:
        try:
            found = kind()
        except reading.Unreadable:
            unreadable.append(name)
        else:
            findings += [found] if found is not None else []
    return Detected(findings=tuple(findings), unreadable=tuple(unreadable))
