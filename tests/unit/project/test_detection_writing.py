"""What was found goes into the text of a config, which stays as readable as it was."""

from __future__ import annotations

import pytest
import yaml

from gaovm.project import nodes, templates
from gaovm.project.detection import detect, writing

FOUND = detect.detect({"package.json": '{"scripts": {"dev": "vite"}}', "Dockerfile": "EXPOSE 8080"})


@pytest.mark.parametrize("name", [*templates.NAMES, "project-template"])
def test_every_template_takes_packages_and_ports(name: str) -> None:
    before = templates.render(templates.read(name), "/p", "p")
    after = writing.add(before, FOUND)
    assert after is not None
    old, new = yaml.safe_load(before), yaml.safe_load(after)
    assert [rule["guestPort"] for rule in new["portForwards"][:2]] == [5173, 8080]
    assert new["portForwards"][2:] == (old.pop("portForwards", None) or [])
    assert new["provision"][1:] == (old.pop("provision", None) or [])
    script = new["provision"][0]["script"]
    assert 'packages="nodejs npm docker.io"' in script
    assert script.splitlines()[-1].startswith('usermod -aG docker "{{.User}}"')
    assert {key: new[key] for key in old} == old
    assert [line for line in before.splitlines() if line not in after.splitlines()] == []


def test_a_port_that_is_forwarded_already_stays_alone() -> None:
    after = writing.add("images: []\n", FOUND, {5173})
    assert after is not None
    assert [rule["guestPort"] for rule in yaml.safe_load(after)["portForwards"]] == [8080]
    none = writing.add("images: []\n", FOUND, {5173, 8080})
    assert none is not None and "portForwards" not in none


@pytest.mark.parametrize("name", ["docker", "docker-rootful", "podman", "podman-rootful"])
def test_a_config_with_an_engine_gets_no_other(name: str) -> None:
    root = nodes.parse(templates.render(templates.read(name), "/p", "p"))
    found = detect.lacking(FOUND, writing.installed(root))
    assert found.packages == ("nodejs", "npm")
    assert [port.number for port in found.ports] == [5173, 8080]
    after = writing.add("images: []\n", found)
    assert after is not None and "docker" not in yaml.safe_load(after)["provision"][0]["script"]


def test_packages_that_are_installed_already() -> None:
    text = "provision:\n- script: |\n    apt-get install nodejs\n    # apt-get install npm\n"
    assert "npm" not in writing.installed(nodes.parse(text))
    assert detect.lacking(FOUND, writing.installed(nodes.parse(text))).packages == (
        "npm",
        "docker.io",
    )


def test_no_docker_no_group() -> None:
    after = writing.add("a: 1", detect.detect({"go.mod": "module x"}))
    assert after is not None and "usermod" not in after


@pytest.mark.parametrize(
    "text",
    [
        "portForwards:\n- guestPort: 1\nprovision:\n- script: x\n",
        "portForwards:\n      # why\n      - guestPort: 1\nprovision: # later\n",
        "portForwards: # none\nprovision:\nenv: {}",
    ],
)
def test_lists_of_any_indentation(text: str) -> None:
    after = writing.add(text, FOUND)
    assert after is not None
    kept = yaml.safe_load(text)["portForwards"] or []
    assert yaml.safe_load(after)["portForwards"][2:] == kept


@pytest.mark.parametrize(
    "text",
    ["portForwards: [{guestPort: 1}]\n", "provision: []\n", "{a: 1}\n", "a: [\n", "provision: ~\n"],
)
def test_a_form_that_takes_no_lines_is_left(text: str) -> None:
    assert writing.add(text, FOUND) is None
