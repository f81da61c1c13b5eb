"""``param``: in paths and scripts of both sides, and as variables of scripts and probes."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problems

TEXT = """\
param: {dir: data, Level_2: "a b"}
mounts: [{location: "~/{{.Param.dir}}", mountPoint: "/mnt/{{ .Param.dir }}"}]
provision: [{script: "echo {{.Param.Level_2}} $PARAM_dir"}]
probes: [{script: "#!/bin/sh {{.Param.dir}}"}]
message: "see {{.Param.dir}}"
"""


def test_params_reach_paths_scripts_and_the_environment() -> None:
    spec = load(TEXT + IMAGE).spec
    assert (spec.shares[0].location, spec.shares[0].mount_point) == ("/home/ann/data", "/mnt/data")
    assert spec.guest.provision[0].script == "echo a b $PARAM_dir"
    assert spec.guest.probes[0].script == "#!/bin/sh data"
    for each in (spec.guest.provision[0], spec.guest.probes[0]):
        assert each.env == {"PARAM_dir": "data", "PARAM_Level_2": "a b"}
    assert spec.message == "see data"
    assert spec.guest.env == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("param: {a: b}", "1 param.a: is not used in any provision, probe, copyToHost"),
        ("param: {a: b}\nprovision: [{script: $PARAM_ab}]", "1 param.a: is not used in any"),
        ("param: {1: b}\nprovision: [{script: $PARAM_1}]", "1 param.1: name does not match regex"),
        (
            'param: {a: "\\n"}\nprovision: [{script: $PARAM_a}]',
            "1 param.a: value contains unprintable character",
        ),
    ],
)
def test_a_param_is_used_and_one_line(text: str, expected: str) -> None:
    assert problems(f"{text}\n{IMAGE}")[0].startswith(expected)
