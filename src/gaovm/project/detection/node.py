"""Node.js: ``package.json`` with its scripts, ``engines`` and package manager."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from gaovm.project.detection import clues, finding, reading, versions

_THERE = (18,)
#: Scripts that start a server, the likeliest first.
_SCRIPTS = ("dev", "start", "serve", "develop", "preview")
#: Word of a script -> the tool's name and its default port (from the manual of each tool).
_TOOLS: dict[str, tuple[str, int]] = {
    "vite": ("Vite", 5173),
    "next": ("Next.js", 3000),
    "nuxt": ("Nuxt", 3000),
    "nuxi": ("Nuxt", 3000),
    "remix": ("Remix", 3000),
    "react-router": ("React Router", 5173),
    "react-scripts": ("Create React App", 3000),
    "ng": ("Angular", 4200),
    "astro": ("Astro", 4321),
    "gatsby": ("Gatsby", 8000),
    "vue-cli-service": ("Vue CLI", 8080),
    "webpack-dev-server": ("webpack", 8080),
    "parcel": ("Parcel", 1234),
    "nest": ("Nest", 3000),
    "eleventy": ("Eleventy", 8080),
    "docusaurus": ("Docusaurus", 3000),
    "hexo": ("Hexo", 4000),
    "storybook": ("Storybook", 6006),
    "http-server": ("http-server", 8080),
}
#: Dependency -> name and usual port, for servers that a script starts by ``node FILE``.
_LIBRARIES: dict[str, tuple[str, int]] = {
    "express": ("Express", 3000),
    "fastify": ("Fastify", 3000),
    "koa": ("Koa", 3000),
    "@nestjs/core": ("Nest", 3000),
    "hono": ("Hono", 3000),
    "@hapi/hapi": ("hapi", 3000),
}
_PORT = re.compile(r"(?:--port[ =]|(?<![\w-])-p[ =]?|\bPORT=)(\d{2,5})\b")
_LONGEST_SCRIPT = 2000


def find(files: Mapping[str, str], marks: Collection[str]) -> finding.Finding | None:
    """Return what a ``package.json`` says; None without one.

    Raises:
        reading.Unreadable: it is no JSON.
    """
    name = next((each for each in clues.PACKAGE_JSON if each in files), None)
    if name is None:
        return None
    root = reading.json_table(files[name])
    packages, notes = _manager(root, marks)
    wanted = reading.table(root, "engines").get("node")
    return finding.Finding(
        name="Node.js",
        files=(name,),
        packages=("nodejs", *packages),
        ports=finding.ports(_ports(root)),
        notes=(*versions.note("Node.js", wanted, _THERE), *notes),
    )


def _manager(root: Mapping[str, object], marks: Collection[str]) -> tuple[list[str], list[str]]:
    """Return packages and notes for the package manager that the project uses."""
    field = root.get("packageManager")
    named = field.partition("@")[0] if isinstance(field, str) else ""
    if named == "yarn" or "yarn.lock" in marks:
        return ["yarnpkg"], ["Debian calls yarn `yarnpkg`"]
    for other, locks in (("pnpm", ("pnpm-lock.yaml",)), ("bun", ("bun.lock", "bun.lockb"))):
        if named == other or any(lock in marks for lock in locks):
            return ["npm"], [f"Debian 12 has no {other}: `npm install -g {other}` brings it"]
    return ["npm"], []


def _ports(root: Mapping[str, object]) -> list[tuple[int, str]]:
    scripts = reading.table(root, "scripts")
    given = [(name, scripts.get(name)) for name in _SCRIPTS]
    texts = [(name, text) for name, text in given if isinstance(text, str)]
    found: list[tuple[int, str]] = []
    for name, text in texts:
        found += _of_script(name, text[:_LONGEST_SCRIPT])
    if texts and not found:
        used = {**reading.table(root, "dependencies"), **reading.table(root, "devDependencies")}
        usual = (tool for library, tool in _LIBRARIES.items() if library in used)
        found += [(port, f"{name}'s usual port") for name, port in usual][:1]
    return found


def _of_script(name: str, text: str) -> list[tuple[int, str]]:
    """Return the ports that one script names; else that of the tool that it starts."""
    given = [(int(number), f"npm run {name}") for number in _PORT.findall(text)]
    if given:
        return given
    for word in re.split(r"[\s;&|()'\"]+", text):
        tool = _TOOLS.get(word.rpartition("/")[2])
        if tool is not None:
            return [(tool[1], f"{tool[0]}: npm run {name}")]
    return []
