"""explain and doctor start no daemon, with any option."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from tests.process.cli import conftest

from gaovm.hostfacts import doctor


def test_explain_prints_the_command_line_without_a_daemon(gaovm: conftest.Gaovm) -> None:
    done = gaovm("explain", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["name"] == "web-dev"
    assert shown["argv"][0].startswith("/")
    assert shown["accelerator"]["reason"]
    assert "/dev/fd/<fd:kernel>" in shown["argv"]
    assert any("<fd:agent>" in word for word in shown["argv"])
    text = gaovm("explain").stdout.decode()
    assert "# <fd:kernel> is <image:debian:12:kernel>, read\n" in text
    assert "-kernel '/dev/fd/<fd:kernel>' \\\n" in text
    assert "# accelerator" in text
    assert not (gaovm.home / "gaovmd.sock").exists()


def test_explain_shows_every_mistake_of_the_file(gaovm: conftest.Gaovm) -> None:
    config = gaovm.project / ".lima" / "config.yaml"
    config.write_text('images: [{location: "debian:12"}]\ncpus: two\ncolour: blue\n')
    done = gaovm("explain", "--json")
    assert done.returncode == 2
    assert b"config.yaml:2: cpus" in done.stderr and b"config.yaml:3: colour" in done.stderr
    problems = json.loads(done.stdout)["error"]["details"]["problems"]
    assert [problem["line"] for problem in problems] == [2, 3]


def test_explain_refuses_what_up_refuses(gaovm: conftest.Gaovm) -> None:
    config = gaovm.project / ".lima" / "config.yaml"
    for text, message, field in (
        ("images: [{location: 'debian:99'}]\n", b"unknown image", "images[0].location"),
        (
            "images: [{location: 'debian:12'}]\nmounts: [{location: /nowhere/at/all}]\n",
            b"config.yaml:2: mounts[0].location: /nowhere/at/all is no directory",
            "mounts[0].location",
        ),
    ):
        config.write_text(text)
        done = gaovm("explain", "--json")
        assert done.returncode == 2
        assert message in done.stderr
        assert json.loads(done.stdout)["error"]["field"] == field


def test_doctor_names_what_is_missing(gaovm: conftest.Gaovm) -> None:
    away = {"PATH": "/nonexistent"}
    done = gaovm("doctor", "--json", env=away)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    checks = msgspec.convert(report["checks"], list[doctor.Check])
    assert checks[0].level == "fail" and "apt-get install" in checks[0].remedy
    text = gaovm("doctor", env=away).stdout.decode()
    assert "FAIL  hypervisor" in text and "remedy: apt-get install" in text
    assert not Path(gaovm.home / "gaovmd.sock").exists()


def test_capabilities_show_every_back_end(gaovm: conftest.Gaovm) -> None:
    done = gaovm("capabilities", "--json")
    assert done.returncode == 0, done.stderr
    backends = {each["name"]: each for each in json.loads(done.stdout)["backends"]}
    assert [name for name, each in backends.items() if each["present"]] == ["qemu"]
    features = {each["name"]: each for each in backends["qemu"]["features"]}
    assert features["tcg"]["here"] and features["exec"]["methods"] == ["session.open"]
    text = gaovm("capabilities").stdout.decode()
    assert "  hot-plug     no        change processors and memory without a restart" in text
    assert "not present: cloud-hypervisor" in text
    assert not (gaovm.home / "gaovmd.sock").exists()
