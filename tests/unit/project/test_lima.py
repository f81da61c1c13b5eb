"""Lima's own material: every field of its schema, its validation cases, its default template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.project.reading import IMAGE, load, problems

from gaovm.project import config, schema, support
from gaovm.project.lima import embedding, versions
from gaovm.project.problems import Findings

DATA = Path(__file__).resolve().parents[2] / "data" / "lima"
SCHEMA: dict[str, Any] = json.loads((DATA / "lima-yaml.derived.schema.json").read_text())
VALIDATE: dict[str, Any] = json.loads((DATA / "vectors" / "validate.json").read_text())
OURS = {"VMOpts", *(name for name in schema.STRUCTS if name.startswith("GaoVM"))}


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


def sentences(text: str) -> list[str]:
    """Lima's sentences for a text, in the order in which GaoVM finds them."""
    found = Findings("c.yaml")
    config.tree(text, "c.yaml", "/home/ann", "/home/ann/p", embedding.Nothing(), found)
    return [problem.lima for problem in found.problems]


@pytest.mark.parametrize("case", VALIDATE["cases"], ids=lambda case: str(case["name"]))
def test_validation_case(case: dict[str, Any]) -> None:
    text: str = case["yaml"]
    found = sentences(text)
    if case["match"] == "none":
        assert not found
        assert not problems(text)
    elif case["match"] == "load-ok":
        # Lima's validation would complain as well
        known = ("images: must be set", "must start with a '#!' line")
        assert all(any(text in line for text in known) for line in problems(text))
    elif case["match"] == "contains":
        for expected in case["errors"]:
            assert any(expected in sentence for sentence in found)
    elif "a load error" in case["name"]:
        assert found[: len(case["errors"])] == case["errors"]
    elif case["name"].startswith("several errors"):
        # Lima returns at the first entry without a path, and does not reach the ports
        assert found == [*case["errors"], "field `portForwards[1].hostPort` must be < 65536"]
    else:
        assert found == case["errors"]


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


@pytest.mark.parametrize("case", VALIDATE["minimum_version"], ids=lambda case: case["minimum"])
def test_minimum_version_case(case: dict[str, Any]) -> None:
    refusal = versions.refusal(case["minimum"], case["current"])
    assert (None if refusal is None else refusal[0]) == case["error"]


def test_a_version_of_a_commit_is_the_newest() -> None:
    assert versions.refusal("9.0.0", "<unknown>") is None
    assert problems(f"minimumLimaVersion: {versions.LIMA}\n{IMAGE}") == []
    found = problems(f"minimumLimaVersion: 99.0.0\n{IMAGE}")
    sentence = f"template requires Lima version `99.0.0`; this is only `{versions.LIMA}`"
    assert found == [f"1 minimumLimaVersion: {sentence}"]


@pytest.mark.parametrize("case", VALIDATE["shrink_disk"], ids=lambda case: case["new"] or "none")
def test_shrink_disk_case(case: dict[str, Any]) -> None:
    """A disk only grows: ``gaovm set`` and ``up`` refuse the same changes as Lima."""
    latest = load(case["latest"] + "\n" + IMAGE).spec
    new = load(case["new"] + "\n" + IMAGE).spec if case["new"] else latest
    assert (new.disk.size_bytes < latest.disk.size_bytes) == (case["error"] is not None)


def test_every_field_has_a_reason_or_an_effect() -> None:
    assert support.strays() == set()
    paths = [path for path, _, _ in support.rows()]
    assert len(paths) == len(set(paths))
    tops = {path.partition(".")[0].partition(":")[0].removesuffix("[]") for path in paths}
    assert tops == set(schema.STRUCTS["LimaYAML"])
    assert {level for _, level, _ in support.rows()} == set(support.Level)


def test_lima_s_default_template_lacks_only_an_image() -> None:
    text = (DATA / "templates" / "default.yaml").read_text()
    found = problems(text)
    assert [line.split(" ", 1)[1] for line in found] == [
        "images: must be set",
        "base[0]: cannot embed `template:_images/ubuntu`: no template can be read here",
        "base[1]: cannot embed `template:_default/mounts`: no template can be read here",
    ]
