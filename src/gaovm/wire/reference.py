"""The reference page of a protocol, written from its table and the structs of its rows. Pure."""

from __future__ import annotations

import enum
import inspect
import textwrap
from collections.abc import Iterable
from typing import Any, get_args

import msgspec
from msgspec import inspect as types

from gaovm.wire.method import Method

_WIDTH = 100
_PLAIN: dict[type, str] = {
    types.AnyType: "any",
    types.BoolType: "bool",
    types.FloatType: "number",
    types.IntType: "integer",
    types.NoneType: "null",
    types.StrType: "text",
}
_KINDS = {
    "read": "Reads; an upgrade that waits lets it pass.",
    "operation": "Begins an operation; a daemon that stops refuses it.",
    "change": "",
}


class Page:
    """Collects the structs that the rows name, so that each is described once."""

    def __init__(self) -> None:
        self._structs: dict[str, type[msgspec.Struct]] = {}

    def methods(self, rows: Iterable[Method[Any, Any]]) -> str:
        """A section for each method: what it does, its parameters, its result."""
        return "\n".join(self._method(row) for row in rows)

    def struct(self, title: str, kind: type[msgspec.Struct]) -> str:
        """A section for one struct, under another title than its name."""
        fields = self._fields(kind)
        body = [f"### {title}", described(kind)] + ([_block(fields)] if fields != "{}" else [])
        return "\n\n".join(body) + "\n"

    def types(self) -> str:
        """A section for each struct that was named so far or is named by one of these."""
        sections: dict[str, str] = {}
        while missing := [name for name in self._structs if name not in sections]:
            for name in missing:
                sections[name] = self.struct(name, self._structs[name])
        return "\n".join(sections[name] for name in sorted(sections))

    def named(self, kind: type[msgspec.Struct]) -> str:
        """The name of a struct, which then is described by ``types``."""
        known = self._structs.setdefault(kind.__name__, kind)
        if known is not kind:
            raise ValueError(f"two structs are called {kind.__name__}")
        return kind.__name__

    def _method(self, row: Method[Any, Any]) -> str:
        kinds = get_args(row.result) or (row.result,)
        result = " | ".join(self.named(kind) for kind in kinds)
        notes = [_KINDS[row.kind]]
        if row.streams:
            notes.append("Sends `progress` before its result.")
        if row.spared and row.kind != "read":
            notes.append("An upgrade that waits lets it pass.")
        text = [
            f"### `{row.name}`",
            prose(" ".join([row.about, *filter(None, notes)])),
        ]
        fields = self._fields(row.params)
        if fields != "{}":
            text += [described(row.params), _block(fields)]
        text.append(f"Result: `{result}`")
        return "\n\n".join(text) + "\n"

    def _fields(self, kind: type) -> str:
        info = types.type_info(kind)
        if not isinstance(info, types.StructType):
            raise TypeError(f"{kind} is no struct")
        return "{" + ", ".join(map(self._field, info.fields)) + "}"

    def _field(self, field: Any) -> str:
        optional = "" if field.required else "?"
        default = field.default
        simple = isinstance(default, str | int | float) and default != ""
        value = f" = {msgspec.json.encode(default).decode()}" if simple else ""
        return f"{field.encode_name}{optional}: {self._type(field.type)}{value}"

    def _type(self, kind: Any) -> str:
        if isinstance(kind, types.Metadata):
            return self._type(kind.type)
        if isinstance(kind, types.StructType):
            return self.named(kind.cls)
        if isinstance(kind, types.EnumType):
            return _choices(each.value for each in kind.cls if isinstance(each, enum.Enum))
        if isinstance(kind, types.LiteralType):
            return _choices(kind.values)
        if isinstance(kind, types.UnionType):
            return " | ".join(map(self._type, kind.types))
        if isinstance(kind, types.DictType):
            return f"{{{self._type(kind.key_type)}: {self._type(kind.value_type)}}}"
        if isinstance(kind, types.ListType | types.VarTupleType | types.SetType):
            return f"[{self._type(kind.item_type)}]"
        if isinstance(kind, types.TupleType):
            return f"[{', '.join(map(self._type, kind.item_types))}]"
        return _PLAIN[type(kind)]


def described(kind: type) -> str:
    """A struct's docstring as Markdown: paragraphs of at most 100 columns."""
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")
    return "\n\n".join(prose(paragraph) for paragraph in paragraphs if paragraph)


def prose(text: str) -> str:
    """One paragraph, wrapped; ``code`` of docstrings becomes `code`."""
    plain = " ".join(text.replace("``", "`").split())
    return textwrap.fill(plain, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _block(text: str) -> str:
    lines = textwrap.fill(
        text, _WIDTH, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )
    return f"```\n{lines}\n```"


def _choices(values: Iterable[object]) -> str:
    return " | ".join(msgspec.json.encode(value).decode() for value in values)
