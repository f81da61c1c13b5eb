"""``hostResolver``, ``dns``, ``timezone``: the names that a guest knows."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import CALLER, IMAGE, PROJECT, load, problem, with_image

from gaovm.builder import network
from gaovm.project import config, context

OPEN = "vmOpts: {gaovm: {hostAccess: true}}\n"


def test_names_lead_to_addresses_by_way_of_others() -> None:
    text = OPEN + (
        "hostResolver: {hosts: {db.test: 10.0.0.7, alias: db.test, six: '::1',"
        " host.docker.internal: host.lima.internal}}"
    )
    loaded = load(with_image(text))
    assert loaded.warnings == ()
    assert loaded.spec.guest.hosts == {
        "db.test": "10.0.0.7",
        "alias": "10.0.0.7",
        "six": "::1",
        "host.docker.internal": "host.lima.internal",
    }


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("{a: example.com}", "`example.com` has to be an IP address"),
        ("{a: b, b: a}", "`b` has to be an IP address"),
        ("{host.docker.internal: host.lima.internal}", "leads to this machine, which is closed"),
    ],
)
def test_a_name_that_leads_nowhere_is_left_out_by_name(hosts: str, expected: str) -> None:
    loaded = load(with_image(f"hostResolver: {{hosts: {hosts}}}"))
    assert expected in loaded.warnings[0]
    assert loaded.spec.guest.hosts == {}


def test_what_is_no_name() -> None:
    found = problem(with_image("hostResolver: {hosts: {'a b': 1.2.3.4}}"))
    assert found == "1 hostResolver.hosts.a b: expected a host name"


def test_name_servers_stand_in_the_kernel_s_argument() -> None:
    spec = load(with_image("hostResolver: {enabled: false}\ndns: [1.1.1.1, 9.9.9.9]")).spec
    assert network.kernel_argument(spec).endswith(":eth0:off:1.1.1.1:9.9.9.9")
    assert network.kernel_argument(load(IMAGE).spec).endswith(":eth0:off:10.0.2.3")


def test_what_the_guest_cannot_ask_is_left_out() -> None:
    text = "hostResolver: {enabled: false}\ndns: ['::1', 1.1.1.1, 1.0.0.1, 9.9.9.9]"
    loaded = load(with_image(text))
    assert loaded.spec.guest.servers == ("1.1.1.1", "1.0.0.1")
    assert [warning.split(": ")[1] for warning in loaded.warnings] == ["dns[0]", "dns[3]"]
    wrong = "hostResolver: {enabled: false}\ndns: [dns.example]"
    assert problem(with_image(wrong)).startswith("2 dns[0]: expected an IP address")


def zone(text: str) -> str:
    host = context.Host("x86_64", "/g/vms/p-dev", "Europe/Oslo")
    loaded = config.load(with_image(text), "c.yaml", CALLER, PROJECT, "p-dev", host)
    return loaded.spec.guest.timezone


def test_the_time_zone_is_the_file_s_else_the_host_s() -> None:
    assert zone("cpus: 1") == "Europe/Oslo"
    assert zone("timezone: America/Argentina/Salta") == "America/Argentina/Salta"
    assert zone("timezone: ''") == ""
    found = problem(with_image("timezone: ../../etc/passwd"))
    assert found.startswith("1 timezone: expected the name of a time zone")
