"""Read a template for an instance: from a file, a URL, a template's name or standard input."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from gaovm import errors
from gaovm.cli import project_dir
from gaovm.cli.lima import querying
from gaovm.client import paths
from gaovm.hostfacts import sources
from gaovm.hostfacts import templates as listed
from gaovm.project import config, names, nodes, problems
from gaovm.project.lima import embedding, emitting, flags, locators

#: Lima's own bound of a template.
MAX_BYTES = 4 << 20
STDIN = "-"
_URL_LIMIT_S = 30.0
_ENDINGS = (".yaml", ".yml")
_IMAGE = re.compile(r"\.(img|qcow2|raw|iso)(\.(gz|xz|bz2|zstd))?\Z")


class Template(NamedTuple):
    """A template's text, its locator, and the name that it gives an instance."""

    text: str
    locator: str
    name: str


def read(word: str) -> Template:
    """Return the template that a word of the command line means.

    Raises:
        errors.UsageError: there is none, or it cannot be read.
        errors.ConfigError: it is too large, or no UTF-8.
    """
    if word == STDIN:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise errors.ConfigError("the template on standard input is larger than 4 MiB")
        return Template(project_dir.decoded(data, word), _beside("stdin.yaml"), "")
    if _IMAGE.search(word):
        return _of_image(word)
    if word.startswith("github:"):
        raise errors.UsageError(
            f"{word}: templates are not fetched from repositories",
            remedy="give the https:// URL of the file",
        )
    if word.startswith(("https://", "http://")):
        return Template(_fetched(word), word, _stem(word))
    if word.startswith("file://"):
        word = word.removeprefix("file://")
    if locators.is_template(word):
        return _named(word)
    return _file(word)


def is_name(word: str) -> bool:
    """Tell whether a word is the name of an instance, and no place of a template."""
    return names.is_valid(word)


def default() -> Template:
    """Return the template of an instance for which none is named."""
    return _named("template:default")


def _file(word: str) -> Template:
    locator = str(Path(project_dir.working_directory()) / Path(word).expanduser())
    try:
        data, _ = sources.read(locator)
    except embedding.Unavailable as exc:
        raise errors.UsageError(f"{word}: {exc.reason}", remedy=exc.remedy) from exc
    return Template(project_dir.decoded(data, word), locator, _stem(word))


def _named(word: str) -> Template:
    try:
        file = locators.template_file(word)
    except ValueError as exc:
        raise listed.missing(paths.home(), word) from exc
    for folder in filter(None, os.environ.get("LIMA_TEMPLATES_PATH", "").split(":")):
        path = Path(folder).expanduser() / file
        if path.is_file():
            return Template(_file(str(path)).text, str(path), _stem(file))
    try:
        data = sources.template(Path(paths.home()), file, project_dir.working_directory())
    except embedding.Unavailable as exc:
        raise errors.UsageError(f"{word}: {exc.reason}", remedy=exc.remedy) from exc
    return Template(project_dir.decoded(data, word), word, _stem(file))


def _of_image(word: str) -> Template:
    """Return a template for an image: the default one, with this image in place of its own."""
    location = word if "://" in word else _beside(str(Path(word).expanduser()))
    arch = os.uname().machine
    quoted = location.replace("\\", "\\\\").replace('"', '\\"')
    expression = f'.images = [{{"location": "{quoted}", "arch": "{arch}"}}]'
    text = querying.evaluate(expression, embedded(default()))
    return Template(text, _beside("image.yaml"), flags.instance_name(word, arch, arch))


def _fetched(url: str) -> str:
    import urllib.error
    import urllib.request

    if not url.startswith("https://"):
        raise errors.UsageError(f"{url}: a template is fetched by https only")
    try:
        with urllib.request.urlopen(url, timeout=_URL_LIMIT_S) as reply:
            if not reply.geturl().startswith("https://"):
                raise errors.UsageError(f"{url} leads to {reply.geturl()}, which is no https URL")
            data: bytes = reply.read(embedding.MAX_BYTES + 1)
    except (OSError, urllib.error.URLError, ValueError) as exc:
        raise errors.UsageError(f"{url}: {exc}", remedy="give the path of a file") from exc
    if len(data) > embedding.MAX_BYTES:
        raise errors.ConfigError(f"{url} is larger than {embedding.MAX_BYTES >> 10} KiB")
    return project_dir.decoded(data, url)


def _stem(word: str) -> str:
    last = word.rstrip("/").rpartition("/")[2].partition("?")[0]
    for ending in _ENDINGS:
        last = last.removesuffix(ending)
    return names.slug(last)


def _beside(name: str) -> str:
    return str(Path(project_dir.working_directory()) / name)


def embedded(template: Template) -> str:
    """Return a template's text with its bases and scripts, so that it needs no other file.

    A text that names none stays as it is, with its comments.

    Raises:
        errors.ConfigError: it is no config, or a file that it names cannot be read.
    """
    found = problems.Findings(template.locator)
    files = sources.Files(Path(paths.home()), project_dir.working_directory())
    root = config.parse(template.text, template.locator)
    tree = embedding.Embedder(files, found, str(Path.home())).embed(root, template.locator)
    found.finish()
    whole = emitting.emit(tree)
    return template.text if whole == emitting.emit(root) else whole


def params(text: str, path: str) -> set[str]:
    """Return the names of the params that a template defines."""
    node = config.parse(text, path).entries.get("param")
    return set(node.entries) if isinstance(node, nodes.Table) else set()


def changed(text: str, path: str, words: list[str]) -> str:
    """Return a template as flags of the command line change it.

    Raises:
        errors.UsageError: a flag's value is wrong, or an expression of yq's is.
    """
    if not words:
        return text
    given = [words[index + 1] for index, word in enumerate(words) if word == "--param"]
    for each in given:
        name = each.partition("=")[0]
        if name not in params(text, path):
            raise errors.UsageError(
                f"error while processing flag `param`: template does not define param `{name[:60]}`"
            )
    try:
        expression = flags.expression(words)
    except ValueError as exc:
        raise errors.UsageError(f"error while processing flags: {exc}") from exc
    return querying.evaluate(expression, text) if expression else text


def listed_names() -> list[str]:
    """Return the names of the templates."""
    return sorted({"default", *(name for name, _ in listed.listed(paths.home()))})
