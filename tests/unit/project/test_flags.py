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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cpus", "4"], ".cpus = 4"),
        (["--mount-none", "true"], ".mounts = []"),
        (["--mount-none", "false"], ""),
        (["--video", "true"], '.video.display = "default"'),
        (["--video", "false"], '.video.display = "none"'),
        (
            ["--mount", "/a,/b:w"],
            '.mounts += [{"location": "/a", "writable": false},'
            '{"location": "/b", "writable": true}]'
            " | .mounts |= unique_by(.location)",
        ),
        (
            ["--mount-only", "/a"],
            '.mounts = [{"location": "/a", "writable": false}] | .mounts |= unique_by(.location)',
        ),
        (
            ["--dns", "1.1.1.1"],
            '.dns += ["1.1.1.1"] | .dns |= unique | .hostResolver.enabled=false',
        ),
        (
            ["--network", "vzNAT,lima:shared"],
            '.networks += [{"vzNAT": true},{"lima": "shared"}] | .networks |= unique_by(.lima)',
        ),
        (["--containerd", "user"], ".containerd.user = true | .containerd.system = false"),
        (["--param", 'A="x"'], r'.param.A = "\"x\""'),
        (
            ["--port-forward", "80:8080,static=true"],
            '.portForwards += [{"guestPort": 8080, "hostPort": 80, "static": true}]',
        ),
    ],
)
def test_flags_become_an_expression(words: list[str], expected: str) -> None:
    assert flags.expression(words) == expected


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--none", "1"], "unknown flag --none"),
        (["--cpus"], "--cpus needs a value"),
        (["--cpus", "many"], "--cpus takes"),
        (["--network", "bridged"], "network name must be"),
        (["--containerd", "all"], "expected one of"),
        (["--param", "1=2"], "expected KEY=VALUE"),
        (["--port-forward", "a:b"], "port"),
    ],
)
def test_a_wrong_flag_is_named(words: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        flags.expression(words)
