"""Whatever stands in a file, its bases and the user's defaults: a spec, or one error of ours."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.project.reading import Files, load

from gaovm import errors
from gaovm.project import schema

HERE = "/home/ann/p"
NAMES = sorted({name for fields in schema.STRUCTS.values() for name in fields})
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(allow_nan=False),
    st.sampled_from(["", "*", "9p", "data", "yq", "/x", "~", "b.yaml", "template:t", "2.0.0"]),
    st.sampled_from(["{{.Param.a}}", "$PARAM_a", "127.0.0.1", "lima0", "debian:12", "8GiB", "vz"]),
    st.text(max_size=6),
)


def value_of(kind: schema.Kind, depth: int = 0) -> st.SearchStrategy[Any]:
    """A value that fits a kind more often than not."""
    if depth > 4:
        return LEAVES
    if isinstance(kind, schema.Either):
        return value_of(kind.other, depth) | LEAVES
    if isinstance(kind, schema.ListOf):
        return st.lists(value_of(kind.item, depth + 1), max_size=3) | LEAVES
    if isinstance(kind, schema.MapOf):
        keys = st.sampled_from(["a", "b", "A_1", "1x"])
        return st.dictionaries(keys, value_of(kind.value, depth + 1), max_size=2) | LEAVES
    if isinstance(kind, schema.Struct):
        return struct(kind.name, depth + 1)
    return LEAVES


def struct(name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    fields = schema.STRUCTS[name]
    optional = {key: value_of(kind, depth) for key, kind in fields.items()}
    known = st.fixed_dictionaries({}, optional=optional)
    return known | st.dictionaries(st.sampled_from(NAMES), LEAVES, max_size=2)


FILE = struct("LimaYAML").map(lambda data: yaml.safe_dump(data, allow_unicode=True))


@settings(max_examples=30)
@given(FILE, FILE, FILE, FILE)
def test_any_files_give_a_spec_or_an_error(main: str, base: str, low: str, high: str) -> None:
    files: dict[str, str | bytes] = {
        f"{HERE}/b.yaml": base,
        "template:t.yaml": low,
        "config:default.yaml": low,
        "config:override.yaml": high,
        "config:base.yaml": base,
    }
    try:
        loaded = load(main, resolver=Files(files))
    except errors.ConfigError as exc:
        for problem in exc.details["problems"]:
            assert problem["line"] > 0 and problem["message"] and problem["remedy"]
    else:
        assert loaded.spec.image.location
