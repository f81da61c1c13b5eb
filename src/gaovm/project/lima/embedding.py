"""Embed what a file names: its bases, depth first, and the files of its scripts.

This module reads nothing: a ``Resolver`` does, and the caller chooses which. The number of files,
their sizes and the depth are bounded, and a file is embedded once, so no circle goes on.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol

from gaovm.project import check, fields, nodes
from gaovm.project.lima import combining, locators, merging
from gaovm.project.nodes import Node, Scalar, Sequence, Table
from gaovm.project.problems import Findings, Problem

MAX_FILES = 64
MAX_DEPTH = 8
#: Of one file; more is no config and no script that a person wrote.
MAX_BYTES = nodes.MAX_TEXT
MAX_ALL_BYTES = 4 * MAX_BYTES
#: All bases together; a single file has the same bound.
MAX_VALUES = nodes.MAX_NODES
#: The user's own base of every file.
DEFAULT_BASE = "base.yaml"
_DIGESTS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_TARGETS = {"data": "content", "yq": "expression"}
_SHOWN = 200
_BESIDE = "give a path or template:NAME"


class Unavailable(Exception):
    """A resolver cannot give a file: the reason, and what the user can do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Incomplete(Exception):
    """The resolver lacks files that it can have later; the same load is to be tried again then."""


class Resolver(Protocol):
    """Reads the files that a config names; at most ``MAX_BYTES`` and a byte more of each."""

    def file(self, path: str) -> bytes:
        """Return the content of an absolute path, or raise ``Unavailable``."""

    def template(self, name: str) -> bytes:
        """Return the template in a file of that name (``_images/x.yaml``), or refuse likewise."""

    def config(self, name: str) -> bytes | None:
        """Return the user's ``default.yaml``, ``override.yaml`` or ``base.yaml``; None: no such."""

    def complete(self) -> bool:
        """Return whether it had all that it was asked for; otherwise the load ends early."""


class Nothing:
    """A resolver that has no file; for texts that stand alone."""

    def file(self, path: str) -> bytes:
        """Refuse."""
        raise Unavailable("no file can be read here", "write the content into the config")

    def template(self, name: str) -> bytes:
        """Refuse."""
        raise Unavailable("no template can be read here", "write the content into the config")

    def config(self, name: str) -> bytes | None:
        """Return None."""
        return None

    def complete(self) -> bool:
        """Return True."""
        return True


class _Base(NamedTuple):
    locator: str
    digest: str
    node: Node


class Embedder:
    """Embeds the bases and scripts of one config; notes what it cannot embed in ``found``.

    ``trees`` keeps what was parsed, by file, for the same load that is tried again.
    """

    def __init__(
        self,
        resolver: Resolver,
        found: Findings,
        home: str,
        *,
        embed_all: bool = True,
        trees: dict[str, Table] | None = None,
    ) -> None:
        self._trees: dict[str, Table] = {} if trees is None else trees
        self._resolver = resolver
        self._found = found
        self._home = home
        self._all = embed_all
        self._seen: set[str] = set()
        self._files = 0
        self._bytes = 0
        self._values = 0

    def embed(self, root: Table, locator: str) -> Table:
        """Return the whole config; ``locator`` is an absolute path or a template's."""
        tree = self._whole(self._default_base(root), locator, 0)
        return combining.combine(tree)

    def _parse(self, data: bytes, file: str, locator: str) -> Table | None:
        """Return the tree of a file; each node knows its origin. None after a problem.

        ``file`` is its name in messages, which may be cut; ``locator`` is the whole one.
        """
        try:
            text = data.decode()
        except UnicodeDecodeError as exc:
            line = data.count(b"\n", 0, exc.start) + 1
            message = f"not UTF-8: the byte 0x{data[exc.start]:02x}"
            self._found.add(Problem(file, line, "", message, "save the file as UTF-8"))
            return None
        known = self._trees.get(locator)
        if known is None:
            try:
                tree = nodes.parse(text)
            except nodes.Malformed as exc:
                self._found.add(Problem(file, *exc.problem))
                return None
            moved = nodes.moved(tree, "", file)
            known = moved if isinstance(moved, Table) else tree
            if data:
                self._trees[locator] = known
        self._values += nodes.size(known)
        return known

    def layer(self, name: str) -> Table | None:
        """Return the user's ``default.yaml`` or ``override.yaml``; None: there is none."""
        data, file = self._resolver.config(name), f"$GAOVM_HOME/_config/{name}"
        return None if data is None else self._parse(data, file, file)

    def _default_base(self, tree: Table) -> Table:
        base = self.layer(DEFAULT_BASE)
        if base is None:
            return tree
        return merging.merge(tree, self._whole(base, "", 1))

    def _whole(self, tree: Table, locator: str, depth: int) -> Table:
        """Return a file with its bases and scripts."""
        directory = locators.directory(locator)
        waiting = self._bases(tree, directory)
        tree = self._scripts(_without(tree, "base"), directory)
        rest: list[_Base] = []
        while waiting:
            base = waiting.pop(0)
            if rest or (locators.is_template(base.locator) and not self._all):
                self._leave(base, rest)
                continue
            name = _name(base.locator)
            found = self._base(base, name, depth)
            if found is not None:
                left, inner = _left(self._whole(found, base.locator, depth + 1))
                waiting = [*left, *waiting]
                tree = merging.merge(tree, inner)
        return _with(tree, rest)

    def _leave(self, base: _Base, rest: list[_Base]) -> None:
        if not locators.is_template(base.locator):
            what = f"cannot embed template `{base.locator}` after not embedding `{rest[0].locator}`"
            self._found.problem(base.node, what, remedy="embed all", lima=what)
        rest.append(base)

    def _bases(self, tree: Table, directory: str) -> list[_Base]:
        node = fields.get(tree, "base")
        # one locator may stand without a list
        rule = ("Provision", "file") if isinstance(node, Table) else ("LimaYAML", "base")
        if node is not None and not check.field(*rule, node, self._found):
            return []
        entries = node.items if isinstance(node, Sequence) else [] if node is None else [node]
        found = []
        for entry in entries:
            url = fields.scalar(entry, "url") if isinstance(entry, Table) else entry
            digest = fields.text(entry, "digest") if isinstance(entry, Table) else None
            if isinstance(url, Scalar) and not url.is_null:
                locator = self._absolute(url, directory)
                if locator is not None:
                    found.append(_Base(locator, digest or "", url))
        return found

    def _absolute(self, node: Scalar, directory: str) -> str | None:
        try:
            return locators.absolute(node.text, directory, self._home)
        except ValueError as exc:
            remedy = "write the whole path, or put the file beside this one"
            self._found.problem(node, str(exc), remedy=remedy, lima=str(exc))
            return None

    def _base(self, base: _Base, name: str, depth: int) -> Table | None:
        if base.locator in self._seen:
            what = f"base template loop detected: template `{name}` already included"
            self._found.problem(
                base.node, what, remedy="name each base once, and none that names this", lima=what
            )
            return None
        self._seen.add(base.locator)
        if depth >= MAX_DEPTH:
            what = f"more than {MAX_DEPTH} bases deep"
            self._found.problem(base.node, what, remedy="put bases side by side in one list")
            return None
        data = self._read(base)
        tree = None if data is None else self._parse(data, name, base.locator)
        if self._values > MAX_VALUES:
            what = f"all bases together have more than {MAX_VALUES} values"
            self._found.problem(base.node, what, remedy="take bases out")
            return None
        return tree

    def _read(self, what: _Base) -> bytes | None:
        """Return the bytes of a locator, after all checks; None after a problem."""
        try:
            self._files += 1
            if self._files > MAX_FILES:
                raise Unavailable(f"more than {MAX_FILES} files", "put them into fewer files")
            data = self._content(what.locator)
            self._bytes += len(data)
            if len(data) > MAX_BYTES:
                raise Unavailable(f"larger than {MAX_BYTES >> 10} KiB", "shorten it")
            if self._bytes > MAX_ALL_BYTES:
                reason = f"all files together are larger than {MAX_ALL_BYTES >> 10} KiB"
                raise Unavailable(reason, "embed less")
            _check_digest(data, what.digest)
        except Unavailable as exc:
            message = f"cannot embed `{_name(what.locator)}`: {exc.reason}"
            self._found.problem(what.node, message, remedy=exc.remedy)
            return None
        return data

    def _content(self, locator: str) -> bytes:
        kind = locators.scheme(locator)
        if kind == "":
            return self._resolver.file(locator)
        if kind == "file" and locator.startswith("file:///"):
            return self._resolver.file(locator.removeprefix("file://"))
        if kind == "template":
            try:
                name = locators.template_file(locator)
            except ValueError as exc:
                raise Unavailable(str(exc), "name a template as it is listed") from exc
            return self._resolver.template(name)
        if kind in ("http", "https", "github"):
            reason = f"GaoVM downloads no part of a config ({kind}:)"
            raise Unavailable(reason, "download it, look at it, and give its path")
        raise Unavailable(f"unknown scheme `{kind}:`", _BESIDE)

    def _scripts(self, tree: Table, directory: str) -> Table:
        entries = dict(tree.entries)
        for key in ("probes", "provision"):
            node = entries.get(key)
            if isinstance(node, Sequence):
                items = tuple(self._script(item, directory, key) for item in node.items)
                entries[key] = Sequence(node.line, node.path, items, node.origin)
        return Table(tree.line, tree.path, entries, tree.key_lines, tree.origin)

    def _script(self, entry: Node, directory: str, key: str) -> Node:
        """Return an entry whose ``file`` became its script; one that has a script stays."""
        node = fields.get(entry, "file") if isinstance(entry, Table) else None
        if not isinstance(entry, Table) or node is None:
            return entry
        url = fields.scalar(node, "url") if isinstance(node, Table) else node
        kind = "Provision" if key == "provision" else "Probe"
        if not check.field(kind, "file", node, self._found) or not isinstance(url, Scalar):
            return entry
        mode = fields.text(entry, "mode") if key == "provision" else None
        target = _TARGETS.get(mode or "", "script")
        locator = self._absolute(url, directory)
        if locator is None or fields.text(entry, target):
            return entry
        digest = (fields.text(node, "digest") if isinstance(node, Table) else None) or ""
        if locators.is_template(locator) and not self._all:
            value, target = Scalar(node.line, node.path, locator, url.plain, node.origin), "file"
        else:
            text = self._text(_Base(locator, digest, url))
            if text is None:
                return entry
            path = f"{entry.path}.{target}"
            value = Scalar(url.line, path, text, False, node.origin)
        entries = {
            target if name == "file" else name: value if name == "file" else each
            for name, each in entry.entries.items()
            if name != target or target == "file"
        }
        lines = {**entry.key_lines, target: entry.key_lines["file"]}
        return Table(entry.line, entry.path, entries, lines, entry.origin)

    def _text(self, what: _Base) -> str | None:
        data = self._read(what)
        if data is None:
            return None
        try:
            return data.decode()
        except UnicodeDecodeError:
            message = f"cannot embed `{_name(what.locator)}`: not UTF-8"
            self._found.problem(what.node, message, remedy="a script is a text; save it as UTF-8")
            return None


def _name(locator: str) -> str:
    return locator if len(locator) <= _SHOWN else locator[:_SHOWN] + "…"


def _check_digest(data: bytes, digest: str) -> None:
    if not digest:
        return
    name, _, wanted = digest.partition(":")
    if name not in _DIGESTS:
        raise Unavailable(
            f"unsupported digest algorithm in `{digest[:60]}`", "write sha256:<64 hex digits>"
        )
    have = _DIGESTS[name](data).hexdigest()
    if have != wanted:
        raise Unavailable(
            f"its digest is {name}:{have}, not `{digest[:150]}`",
            "look at what has changed in it, then write its new digest",
        )


def _without(table: Table, key: str) -> Table:
    if key not in table.entries:
        return table
    entries = {name: node for name, node in table.entries.items() if name != key}
    return Table(table.line, table.path, entries, table.key_lines, table.origin)


def _with(tree: Table, rest: list[_Base]) -> Table:
    """Return a tree whose ``base`` is what was not embedded."""
    if not rest:
        return tree
    line = rest[0].node.line
    items: list[Node] = [
        Scalar(each.node.line, f"base[{n}]", each.locator, True, each.node.origin)
        for n, each in enumerate(rest)
    ]
    if len(items) == 1:
        base: Node = Scalar(line, "base", rest[0].locator, True, rest[0].node.origin)
    else:
        base = Sequence(line, "base", tuple(items))
    entries = {"base": base, **tree.entries}
    return Table(tree.line, tree.path, entries, {**tree.key_lines, "base": line}, tree.origin)


def _left(tree: Table) -> tuple[list[_Base], Table]:
    """Return the bases that a base has left, and it without them."""
    node = fields.get(tree, "base")
    items = node.items if isinstance(node, Sequence) else () if node is None else (node,)
    left = [_Base(item.text, "", item) for item in items if isinstance(item, Scalar)]
    return left, _without(tree, "base")
