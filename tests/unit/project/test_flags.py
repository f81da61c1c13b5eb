"""Words of Lima's command line, against Lima's own cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gaovm.project.lima import flags

DATA = Path(__file__).resolve().parents[2] / "data" / "lima" / "vectors" / "names-and-flags.json"
CASES: dict[str, Any] = json.loads(DATA.read_text())


@pytest.mark.parametrize(("url", "expected"), CASES["instance_name_from_image_url"])
def test_the_name_that_an_image_gives(url: str, expected: str) -> None:
    assert flags.instance_name(url, "unknown", "x86_64") == expected


def test_the_native_architecture_is_no_part_of_the_name() -> None:
    url = "https://e.org/debian-12-genericcloud-amd64-20250101.qcow2.xz"
    assert flags.instance_name(url, "amd64", "amd64") == "debian-12"
    assert flags.instance_name(url, "amd64", "arm64") == "debian-12-amd64"


@pytest.mark.parametrize(("text", "expected"), CASES["port_forward_flag"])
def test_a_port_to_forward(text: str, expected: list[Any] | str) -> None:
    if expected == "error":
        with pytest.raises(ValueError, match="expected HOST:GUEST"):
            flags.port_forward(text)
    else:
        assert list(flags.port_forward(text)) == expected


def test_a_static_port() -> None:
    assert flags.port_forward("8080:80,static=true") == ("8080", "80", True)


@pytest.mark.parametrize(("words", "expected"), CASES["edit_flags_to_expression"])
def test_flags_that_edit(words: list[str], expected: str) -> None:
    if expected.startswith("error: "):
        with pytest.raises(ValueError, match="network name must be") as info:
            flags.expression(words)
        assert str(info.value) == expected.removeprefix("error: ")
    else:
        assert flags.expression(words) == expected


def test_flags_together() -> None:
    words = ["--cpus", "4", "--network", "lima:user-v2", "--set", ".env.A = 1"]
    assert flags.expression(words) == (
        '.cpus = 4 | .networks += [{"lima": "user-v2"}] | .networks |= unique_by(.lima)'
        " | .env.A = 1"
    )
    assert flags.expression(["--arch", 'a"b']) == '.arch = "a\\"b"'
    for wrong in (["--nope", "1"], ["--cpus"]):
        with pytest.raises(ValueError, match=r"unknown flag --nope|needs a value"):
            flags.expression(wrong)
