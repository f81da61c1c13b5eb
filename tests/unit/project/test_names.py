"""Names of VMs, compared with Lima's list and the first version's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.project import names

DATA = Path(__file__).resolve().parents[2] / "data" / "lima" / "vectors" / "names-and-flags.json"
RULES = json.loads(DATA.read_text())["identifier"]
PATTERN = re.compile(RULES["regex"])


@pytest.mark.parametrize("name", RULES["valid"])
def test_valid(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize("name", [*RULES["invalid"], "a.yml", "a.YAML", "ä", "a\n", "a b"])
def test_invalid(name: str) -> None:
    with pytest.raises(errors.UsageError) as info:
        names.check(name)
    assert info.value.exit_code == 2
    assert info.value.remedy


@given(st.text(max_size=20) | st.text("aZ0.-_", max_size=80))
def test_the_rule_is_limas(name: str) -> None:
    expected = (
        PATTERN.fullmatch(name) is not None
        and len(name) <= RULES["max_length"]
        and not name.lower().endswith((".yml", ".yaml"))
    )
    assert names.is_valid(name) is expected


@given(st.text(max_size=200))
def test_every_directory_has_a_valid_name(directory: str) -> None:
    assert names.is_valid(names.of_directory("/" + directory))
    host = names.hostname(names.of_directory("/" + directory))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", host)
    assert len(host) <= 63


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/home/u/projects/myapp", "myapp-dev"),
        ("/home/u/projects/my app/", "my-app-dev"),
        ("/x/My.App_2", "my.app_2-dev"),
        ("/x/--a..b--", "a.b-dev"),
        ("/x/café", "cafe-dev"),
        ("/x/日本", "project-dev"),
        ("/", "project-dev"),
        ("/x/" + "a" * 100, "a" * 72 + "-dev"),
        ("/x/site.yml", "site.yml-dev"),
        ("/x/web.yaml", "web.yaml-dev"),
    ],
)
def test_slug(directory: str, name: str) -> None:
    assert names.of_directory(directory) == name


def test_a_flag_overrides_the_environment_which_overrides_the_directory() -> None:
    assert names.vm_name("f", "e", "/x/d") == "f"
    assert names.vm_name(None, "e", "/x/d") == "e"
    assert names.vm_name(None, "", "/x/d") == "d-dev"
    with pytest.raises(errors.UsageError):
        names.vm_name("-x", None, "/x/d")


def test_hostname() -> None:
    assert names.hostname("a.b_c-d") == "a-b-c-d"
    assert names.hostname("a" * 62 + "-b" * 7) == "a" * 62
