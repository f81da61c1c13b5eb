"""Lima's own material: every field of its schema, its validation cases, its default template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.project.reading import load, problems

from gaovm.project import schema

DATA = Path(__file__).resolve().parents[2] / "data" / "lima"
SCHEMA: dict[str, Any] = json.loads((DATA / "lima-yaml.derived.schema.json").read_text())
VALIDATE: dict[str, Any] = json.loads((DATA / "vectors" / "validate.json").read_text())
OURS = {"VMOpts", *(name for name in schema.STRUCTS if name.startswith("GaoVM"))}
NOT_HONOURED = ("param", "additionalDisks")


def properties(name: str) -> dict[str, Any]:
    """Return a struct's fields, also of a struct that may be a plain text instead."""
    definition = SCHEMA["$defs"][name]
    for part in [definition, *definition.get("anyOf", [])]:
        if "properties" in part:
            return dict(part["properties"])
    raise AssertionError(f"{name} has no fields")


def test_the_table_has_every_field_of_the_schema() -> None:
    for name, fields in schema.STRUCTS.items():
        if name not in OURS:
            assert set(fields) == set(properties(name)), name


def test_every_struct_of_the_schema_can_be_reached() -> None:
    with_fields = {n for n, d in SCHEMA["$defs"].items() if "properties" in d}
    missing = with_fields - set(schema.STRUCTS) - {"ProvisionData", "WindowsOpts"}
    assert not missing


def leaf(node: dict[str, Any]) -> set[str]:
    if "$ref" in node:
        return leaf(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return set().union(*(leaf(part) for part in node["anyOf"]))
    if "enum" in node:
        return {"string"}
    kinds = node.get("type", "object")
    return ({kinds} if isinstance(kinds, str) else set(kinds)) - {"null"}


def test_the_table_has_the_schema_s_types() -> None:
    wanted = {"int": {"integer"}, "bool": {"boolean"}, "text": {"string", "number", "boolean"}}
    for name, fields in schema.STRUCTS.items():
        if name in OURS:
            continue
        for key, kind in fields.items():
            types = leaf(properties(name)[key])
            if isinstance(kind, str):
                assert types in (wanted[kind], {"string"}), f"{name}.{key}"
            else:
                assert types & {"array", "object"}, f"{name}.{key}"


@pytest.mark.parametrize("case", VALIDATE["cases"], ids=lambda case: str(case["name"]))
def test_validation_case(case: dict[str, Any]) -> None:
    text: str = case["yaml"]
    found = problems(text)
    if case["match"] == "none":
        assert not found
    elif case["match"] == "load-ok":
        # Lima's validation complains about such a path too; params have no effect here, so we
        # refuse a path that needs one, and name it
        known = ("images: must be set", "{{ .Param.", "must start with a `#!` line")
        assert all(any(text in line for text in known) for line in found)
    elif not found:
        # for a field without effect, Lima reports an error and we give a warning that names it
        assert any(f": {name}:" in w for w in load(text).warnings for name in NOT_HONOURED)


def test_several_errors_are_all_reported() -> None:
    case = next(c for c in VALIDATE["cases"] if c["name"].startswith("several errors"))
    paths = [line.split(" ")[1].rstrip(":") for line in problems(case["yaml"])]
    assert set(paths) == {
        "os",
        "arch",
        "images",
        "portForwards[1].hostPort",
        "provision[0].mode",
        "provision[1].path",
    }


def test_limas_default_template_lacks_only_an_image() -> None:
    text = (DATA / "default.yaml").read_text()
    found = problems(text)
    assert len(found) == 1
    assert "images: must be set" in found[0]
    assert "`base` is not honoured yet" in found[0]
