"""``provision``: the entries of every mode, and what is wrong with one."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, Files, load, problem, with_image

from gaovm.spec.guest import Target

MODES = """\
param: {level: high}
provision:
  - {mode: user, script: "echo user"}
  - {mode: system, script: "echo system"}
  - mode: data
    path: "{{.Home}}/conf/{{.Param.level}}"
    content: |
      level={{.Param.level}} {{.Unknown}}
    owner: "{{.User}}"
    permissions: 600
    overwrite: false
  - mode: yq
    path: /etc/daemon.json
    expression: '.level = "{{.Param.level}}"'
    format: json
  - {mode: dependency, skipDefaultDependencyResolution: true, script: "echo dependency"}
  - {mode: boot, script: "echo boot"}
"""


def test_every_mode_is_read_in_the_file_s_order() -> None:
    loaded = load(MODES + IMAGE)
    assert loaded.warnings == ()
    found = loaded.spec.guest.provision
    assert [(one.name, one.mode) for one in found] == [
        ("provision[0]", "user"),
        ("provision[1]", "system"),
        ("provision[2]", "data"),
        ("provision[3]", "yq"),
        ("provision[4]", "dependency"),
        ("provision[5]", "boot"),
    ]
    assert found[2].script == "level=high {{.Unknown}}\n"
    home = "/home/ann.guest/conf/high"
    assert found[2].target == Target(path=home, owner="ann", permissions="600", overwrite=False)
    assert found[3].script == '.level = "high"'
    assert found[3].target == Target(path="/etc/daemon.json", format="json")
    assert [one.target for one in found if one.mode not in ("data", "yq")] == [None] * 4


def test_a_file_beside_the_config_is_the_content() -> None:
    text = "provision: [{mode: data, path: /etc/motd, file: motd}]\n" + IMAGE
    found = load(text, resolver=Files({"/home/ann/p/motd": "hello\n"})).spec.guest.provision
    assert found[0].script == "hello\n"


def test_an_empty_file_may_be_written() -> None:
    found = load(with_image('provision: [{mode: data, path: /a, content: ""}]')).spec.guest
    assert found.provision[0].script == ""


def test_ansible_is_left_out_by_name() -> None:
    loaded = load(with_image("provision: [{mode: ansible, playbook: a.yaml}]"))
    assert loaded.spec.guest.provision == ()
    assert "GaoVM runs no playbook of mode ansible" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("mode: data, path: /a", "1 provision[0].content: must be set"),
        ("mode: data, path: '{{.Nam}}', content: x", "1 provision[0].path: unknown variable"),
        ("mode: data, path: '{{.Name}}', content: x", "1 provision[0].path: expected an absolute"),
        ("mode: data, path: /, content: x", "1 provision[0].path: expected the path of a file"),
        (
            "mode: data, path: /a, content: x, owner: 'a b'",
            '1 provision[0].owner: expected USER or USER:GROUP, found `"a b"`',
        ),
        (
            "mode: data, path: /a, content: x, owner: -r",
            "1 provision[0].owner: expected USER or USER:GROUP",
        ),
        (
            "mode: data, path: /a, content: x, permissions: 10644",
            "1 provision[0].permissions: expected up to four octal digits",
        ),
        ("mode: yq, path: /a, expression: ' '", "1 provision[0].expression: must be set"),
        (
            "mode: yq, path: /a, expression: ., format: text",
            "1 provision[0].format: expected one of auto, csv",
        ),
    ],
)
def test_a_mistake_is_named(entry: str, expected: str) -> None:
    assert problem(with_image(f"provision: [{{{entry}}}]")).startswith(expected)
