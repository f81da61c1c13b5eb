"""``copyToHost``, ``plain``, ``user.passwordlessSudo``, ``upgradePackages``, time limits."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem, with_image

from gaovm.spec import reach
from gaovm.spec.guest import Copy
from gaovm.spec.supervision import SetUp


def copies(entry: str) -> str:
    return with_image(f"param: {{n: conf}}\ncopyToHost: [{{{entry}}}]")


def test_a_copy_into_the_vm_s_own_directory_is_relative_to_it() -> None:
    entry = "guest: '{{.Home}}/{{.Param.n}}', host: '{{.Dir}}/copied-from-guest/{{.Name}}/k'"
    loaded = load(copies(f"{entry}, skipIfMissing: true, deleteOnStop: true"))
    [found] = loaded.spec.guest.copies
    assert found == Copy(
        name="copyToHost[0]",
        guest="/home/ann.guest/conf",
        host="copied-from-guest/p-dev/k",
        skip_if_missing=True,
        delete_on_stop=True,
    )
    assert loaded.warnings == ()
    assert reach.of(loaded.spec, "/home/ann/p", lambda path: path) == reach.BASELINE


@pytest.mark.parametrize(
    ("host", "real", "expected"),
    [
        ("/home/ann/p/out/{{.Param.n}}", {}, []),
        ("/home/ann/.kube/{{.Param.n}}", {}, ["copy to /home/ann/.kube/conf"]),
        ("/home/ann/p/../q/{{.Param.n}}", {}, ["copy to /home/ann/q/conf"]),
        # a directory of the project that is a link
        (
            "/home/ann/p/out/{{.Param.n}}",
            {"/home/ann/p/out": "/home/ann/.ssh"},
            ["copy to /home/ann/.ssh/conf"],
        ),
    ],
)
def test_what_a_copy_reaches(host: str, real: dict[str, str], expected: list[str]) -> None:
    spec = load(copies(f"guest: /a, host: '{host}'")).spec
    found = reach.of(spec, "/home/ann/p", lambda path: real.get(path, path))
    wanted = reach.widenings(reach.BASELINE, found, "/home/ann/p")
    assert [each.line() for each in wanted] == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("host: '/{{.Param.n}}'", "copyToHost[0].guest: must be set"),
        ("guest: '/{{.Param.n}}'", "copyToHost[0].host: must be set"),
        ("guest: '{{.Param.n}}', host: /a", "copyToHost[0].guest: expected an absolute path"),
        ("guest: '/{{.Param.n}}/..', host: /a", "copyToHost[0].guest: expected the path of a file"),
        (
            "guest: '/{{.Param.n}}', host: '{{.Dir}}/disk.qcow2'",
            "copyToHost[0].host: {{.Dir}} holds what the VM is made of",
        ),
        (
            "guest: '/{{.Param.n}}', host: '{{.Dir}}/copied-from-guest/../config.json'",
            "copyToHost[0].host: {{.Dir}} holds what the VM is made of",
        ),
        (
            "guest: '/{{.Param.n}}', host: '{{.Dirr}}/x'",
            "copyToHost[0].host: unknown variable {{.Dirr}}",
        ),
    ],
)
def test_a_mistake_is_named(entry: str, expected: str) -> None:
    assert problem(copies(entry)).startswith(f"2 {expected}")


def test_two_copies_to_one_file() -> None:
    text = with_image("copyToHost: [{guest: /a, host: /x/y}, {guest: /b, host: /x/./y}]")
    assert problem(text) == "1 copyToHost[1].host: copyToHost[0] is copied to this file too"


def test_a_plain_vm_has_no_mounts_no_zone_and_static_ports_alone() -> None:
    text = (
        "plain: true\nmounts: [{location: /data}]\ntimezone: UTC\ncontainerd: {user: true}\n"
        "portForwards: [{guestPort: 80, static: true}, {guestPort: 81},"
        " {guestPort: 82, ignore: true}]\nupgradePackages: true\nprovision: [{script: a}]\n"
    )
    loaded = load(text + IMAGE)
    assert loaded.spec.shares == ()
    assert {port.guest_port for port in loaded.spec.network.ports} == {80}
    guest = loaded.spec.guest
    assert (guest.timezone, guest.plain, guest.upgrade_packages) == ("", True, True)
    assert len(guest.provision) == 1
    left_out = [each.split(": ")[1] for each in loaded.warnings if "plain: true" in each]
    assert left_out == ["mounts", "timezone", "portForwards[1]"]


def test_a_vm_that_is_not_plain_keeps_everything() -> None:
    spec = load(with_image("plain: false")).spec
    assert len(spec.shares) == 1
    assert not spec.guest.plain


def test_sudo_with_a_password_needs_a_plain_vm() -> None:
    spec = load(with_image("plain: true\nuser: {passwordlessSudo: false}")).spec
    assert not spec.guest.user.passwordless_sudo
    assert load(with_image("user: {passwordlessSudo: true}")).spec.guest.user.passwordless_sudo
    found = problem(with_image("user: {passwordlessSudo: false}"))
    assert found == "1 user.passwordlessSudo: must be true unless `plain` is true"


def test_time_limits_of_the_set_up() -> None:
    text = "vmOpts: {gaovm: {setUp: {boot: 10m, script: 1h, probe: 90s}}}"
    assert load(with_image(text)).spec.supervision.set_up == SetUp(
        boot_s=600, script_s=3600, probe_s=90
    )
    assert load(IMAGE).spec.supervision.set_up == SetUp()
    found = problem(with_image("vmOpts: {gaovm: {setUp: {probe: soon}}}"))
    assert found.startswith("1 vmOpts.gaovm.setUp.probe: expected a time such as 30s")
