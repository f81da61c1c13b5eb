"""``propagateProxyEnv``: the caller's proxies in the guest's environment, as Lima merges them."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.project.reading import CALLER, load, with_image

from gaovm.cli.commands import up
from gaovm.project.lima import proxies

GATEWAY = "10.0.2.2"


@pytest.mark.parametrize(
    ("env", "given", "expected"),
    [
        ({}, {}, {}),
        (
            {"A": "1"},
            {"http_proxy": "http://p:1"},
            {"A": "1", "http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"},
        ),
        # the file's own, in both spellings
        ({"https_proxy": "p:1"}, {}, {"https_proxy": "p:1", "HTTPS_PROXY": "p:1"}),
        # the caller wins, and the lower spelling over the upper one
        ({"http_proxy": "a"}, {"http_proxy": "b"}, {"http_proxy": "b", "HTTP_PROXY": "b"}),
        ({"HTTP_PROXY": "a"}, {"http_proxy": "b"}, {"http_proxy": "b", "HTTP_PROXY": "b"}),
        ({}, {"FTP_PROXY": "u"}, {"ftp_proxy": "u", "FTP_PROXY": "u"}),
        # an empty value takes a setting away
        ({"http_proxy": "a", "HTTP_PROXY": "a"}, {"http_proxy": "", "HTTP_PROXY": ""}, {}),
        # no_proxy stays as it is
        ({}, {"no_proxy": "localhost"}, {"no_proxy": "localhost", "NO_PROXY": "localhost"}),
        # what no environment file can hold
        ({}, {"http_proxy": "a\nb"}, {}),
    ],
)
def test_merging(env: dict[str, str], given: dict[str, str], expected: dict[str, str]) -> None:
    assert proxies.merge(env, given, GATEWAY) == (expected, ())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://localhost:3128", "http://10.0.2.2:3128"),
        ("http://ann:pw@127.0.0.1:3128/", "http://ann:pw@10.0.2.2:3128/"),
        ("http://127.3.2.1", "http://10.0.2.2"),
        ("http://[::1]:8080", "http://10.0.2.2:8080"),
        ("localhost:3128", "10.0.2.2:3128"),
        ("proxy.localhost:1", "10.0.2.2:1"),
    ],
)
def test_a_proxy_on_the_host_is_reached_by_the_gateway(value: str, expected: str) -> None:
    merged = proxies.merge({}, {"http_proxy": value}, GATEWAY)
    assert merged.env["http_proxy"] == merged.env["HTTP_PROXY"] == expected
    assert merged.of_host == ("http_proxy",)


@pytest.mark.parametrize("value", ["http://p:1", "http://localhost.example:1", "http://x:99999"])
def test_other_proxies_stay(value: str) -> None:
    merged = proxies.merge({}, {"http_proxy": value}, GATEWAY)
    assert (merged.env["http_proxy"], merged.of_host) == (value, ())


def test_the_command_line_hands_over_these_variables() -> None:
    assert up.PROXIES == proxies.NAMES


def test_the_file_decides_whether_the_caller_s_are_taken() -> None:
    caller = dataclasses.replace(CALLER, proxies={"http_proxy": "http://p:1"})
    assert load(with_image("cpus: 1"), caller).spec.guest.env["HTTP_PROXY"] == "http://p:1"
    text = "propagateProxyEnv: false\nenv: {https_proxy: own}"
    assert load(with_image(text), caller).spec.guest.env == {
        "https_proxy": "own",
        "HTTPS_PROXY": "own",
    }


def test_a_proxy_of_a_closed_host_is_warned_of() -> None:
    caller = dataclasses.replace(CALLER, proxies={"http_proxy": "http://localhost:1"})
    [warning] = load(with_image("cpus: 1"), caller).warnings
    assert "http_proxy: the proxy is this machine's own, which is closed to the guest" in warning
    opened = load(with_image("vmOpts: {gaovm: {hostAccess: true}}"), caller)
    assert opened.warnings == ()
    assert opened.spec.guest.env["http_proxy"] == "http://10.0.2.2:1"
