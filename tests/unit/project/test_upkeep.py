"""The commands of ``sysinit-vm``, and the files that ``init`` writes."""

from __future__ import annotations

import pytest
import yaml

from gaovm import errors
from gaovm.project import nodes, templates, upkeep

PLACEHOLDERS = 'a: "{{PROJECT_NAME}}"\nb: "{{PROJECT_DIR}}"\nc: "{{TEMPLATE}} {{.Home}} {{"\n'


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("cpus: 2", upkeep.DEFAULTS["sync"]),
        ("vmOpts: {gaovm: {sync: }}", upkeep.DEFAULTS["sync"]),
        ("vmOpts: {gaovm: {sync: ' '}}", upkeep.DEFAULTS["sync"]),
        ("vmOpts: {gaovm: {sync: ' make sync ', rebuild: x}}", "make sync"),
    ],
)
def test_a_config_may_set_the_command(text: str, command: str) -> None:
    assert upkeep.command(nodes.parse(text), "sync") == command


@pytest.mark.parametrize("name", ["a|b & c", 'x"y', "\\1", "{{PROJECT_DIR}}", "a\nb", "\U0001f680"])
def test_a_name_is_replaced_once_and_literally(name: str) -> None:
    text = templates.render(PLACEHOLDERS, f"/srv/{name}", name, "minimal")
    found = yaml.safe_load(text)
    assert found == {"a": name, "b": f"/srv/{name}", "c": "minimal {{.Home}} {{"}


@pytest.mark.parametrize("name", [*templates.NAMES, *templates.PARTS])
def test_every_template_is_a_file_of_the_tree(name: str) -> None:
    assert yaml.safe_load(templates.read(name))
    assert "lima:start" in yaml.safe_load(templates.taskfile())["tasks"]


def test_a_template_that_is_none() -> None:
    with pytest.raises(errors.UsageError, match="no template 'mini'"):
        templates.read("mini")
