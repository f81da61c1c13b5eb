"""The structs of a contract as text, in the notation of the reference pages.

In ``{name: text, port?: integer}`` a field with ``?`` may be left out. Nested structs appear by
their names; ``named`` lists what a page then has to explain.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec
from msgspec import inspect

_SIMPLE: tuple[tuple[type[Any], str], ...] = (
    (inspect.AnyType, "any"),
    (inspect.NoneType, "null"),
    (inspect.BoolType, "boolean"),
    (inspect.IntType, "integer"),
    (inspect.FloatType, "number"),
    (inspect.StrType, "text"),
)
_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


def fields(struct: type[msgspec.Struct], *, sent: bool = False, defaults: bool = False) -> str:
    """The fields of a struct, in braces.

    ``sent``: the sender always sends all of them. ``defaults``: show plain values that hold
    for a field that is left out.
    """
    parts = []
    for field in msgspec.structs.fields(struct):
        mark = "" if sent or field.required else "?"
        plain = defaults and isinstance(field.default, str | int | float) and field.default != ""
        value = f" = {msgspec.json.encode(field.default).decode()}" if plain else ""
        parts.append(f"{field.encode_name}{mark}: {shape(field.type)}{value}")
    return "{" + ", ".join(parts) + "}"


def shape(kind: Any) -> str:
    """One type: a struct by its name, words as they are quoted, everything else in plain words."""
    return _shape(inspect.type_info(kind))


def about(struct: type[msgspec.Struct]) -> str:
    """What the docstring of a struct says, in one line."""
    return " ".join((struct.__doc__ or "").replace("``", "`").split())


def named(*kinds: Any) -> list[type[msgspec.Struct]]:
    """Every struct that is nested in these, once each, in the order in which they appear."""
    found: dict[type[msgspec.Struct], None] = {}
    for kind in kinds:
        for field in msgspec.structs.fields(kind):
            _gather(inspect.type_info(field.type), found)
    return list(found)


def _gather(info: inspect.Type, found: dict[type[msgspec.Struct], None]) -> None:
    if isinstance(info, inspect.StructType):
        if info.cls not in found:
            found[info.cls] = None
            for field in info.fields:
                _gather(field.type, found)
        return
    for name in ("type", "item_type", "value_type"):
        if (inner := getattr(info, name, None)) is not None:
            _gather(inner, found)
    for inner in (*getattr(info, "types", ()), *getattr(info, "item_types", ())):
        _gather(inner, found)


def _shape(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        words = (info.extra_json_schema or {}).get("examples")
        return _words(words) if words else _shape(info.type)
    for kind, word in _SIMPLE:
        if isinstance(info, kind):
            return word
    if isinstance(info, _LISTS):
        return f"[{_shape(info.item_type)}]"
    if isinstance(info, inspect.DictType):
        return f"{{{_shape(info.key_type)}: {_shape(info.value_type)}}}"
    if isinstance(info, inspect.UnionType):
        return "|".join(_shape(each) for each in info.types)
    if isinstance(info, inspect.LiteralType):
        return _words(info.values)
    if isinstance(info, inspect.EnumType):
        return _words(each.value for each in info.cls)
    if isinstance(info, inspect.StructType):
        return info.cls.__name__
    raise TypeError(f"the reference has no word for {info}")


def _words(values: Any) -> str:
    plain = (each.value if isinstance(each, enum.Enum) else each for each in values)
    return "|".join(f'"{each}"' if isinstance(each, str) else str(each) for each in plain)
