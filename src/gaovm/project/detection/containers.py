"""Containers: a Dockerfile's ``EXPOSE``, and the published ports of a compose file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gaovm.project import fields, nodes
from gaovm.project.detection import clues, finding, reading

_EXPOSE = re.compile(r"^[ \t]*EXPOSE[ \t]+(\S.*)$", re.MULTILINE | re.IGNORECASE)
_NUMBERS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp))?\Z")
#: ``${PORT:-8080}`` and ``${PORT-8080}``: the default counts.
_DEFAULT = re.compile(r"\$\{\w+:?-([^{}]*)\}")
_MOST_SERVICES = 200


def find(files: Mapping[str, str]) -> finding.Finding | None:
    """Return what the files of containers say; None where there are none.

    Raises:
        reading.Unreadable: the compose file is no YAML.
    """
    image = next((name for name in clues.DOCKERFILE if name in files), None)
    compose = next((name for name in clues.COMPOSE if name in files), None)
    seen = tuple(name for name in (image, compose) if name is not None)
    if not seen:
        return None
    published = _published(files[compose], compose) if compose else []
    if image and not published:
        published = _exposed(files[image], image)
    notes = ("Debian 12's compose is `docker-compose`, with a dash",) if compose else ()
    return finding.Finding(
        name="Docker",
        files=seen,
        packages=("docker.io", "docker-compose") if compose else ("docker.io",),
        ports=finding.ports(published),
        notes=notes,
        docker=True,
    )


def _exposed(text: str, file: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for match in _EXPOSE.finditer(text):
        for word in match[1].split():
            found += [(number, f"EXPOSE in {file}") for number in _numbers(word)]
    return found


def _published(text: str, file: str) -> list[tuple[int, str]]:
    """Return the ports that compose opens on its host, which here is the VM."""
    services = fields.table(reading.yaml_table(text), "services")
    found: list[tuple[int, str]] = []
    for service in list(services.entries.values())[:_MOST_SERVICES]:
        listed = fields.get(service, "ports") if isinstance(service, nodes.Table) else None
        for item in listed.items if isinstance(listed, nodes.Sequence) else ():
            found += [(number, f"published in {file}") for number in _of_item(item)]
    return found


def _of_item(item: nodes.Node) -> list[int]:
    if isinstance(item, nodes.Scalar):
        return _of_short(item.text)
    if isinstance(item, nodes.Table) and (fields.text(item, "protocol") or "tcp") == "tcp":
        return _numbers(_DEFAULT.sub(r"\1", fields.text(item, "published") or ""))
    return []


def _of_short(text: str) -> list[int]:
    """Return the host's side of ``[IP:]HOST:CONTAINER[/PROTOCOL]``; without it it is random."""
    address, _, protocol = _DEFAULT.sub(r"\1", text).partition("/")
    host, colon, _ = address.rpartition(":")
    if not colon or protocol not in ("", "tcp"):
        return []
    return _numbers(host.rpartition(":")[2])


def _numbers(word: str) -> list[int]:
    """Return the ports of ``8080``, ``8080/tcp`` or ``8080-8085``; none for anything else."""
    match = _NUMBERS.match(word)
    if match is None:
        return []
    first, last = int(match[1]), int(match[2] or match[1])
    return list(range(first, min(last, first + finding.MOST_PORTS) + 1))
