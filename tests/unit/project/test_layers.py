"""The user's own ``default.yaml``, ``override.yaml`` and ``base.yaml`` around a file."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.project.reading import Files, load, with_image
from tests.unit.project.test_embedding import plain

from gaovm import errors
from gaovm.project import config
from gaovm.project.problems import Findings
from gaovm.spec.vm import VmSpec


def spec(text: str, **layers: str) -> VmSpec:
    files: dict[str, str | bytes] = {f"config:{name}.yaml": each for name, each in layers.items()}
    return load(with_image(text), resolver=Files(files)).spec


def test_override_wins_over_the_file_and_the_file_over_default() -> None:
    found = spec(
        "cpus: 2\nmemory: null\n",
        default="cpus: 1\nmemory: 1GiB\ndisk: 10GiB\n",
        override="disk: 30GiB\n",
    )
    assert (found.processors.count, found.memory.size_bytes >> 30) == (2, 1)
    assert found.disk.size_bytes >> 30 == 30


def test_maps_are_merged() -> None:
    found = spec("env: {A: f, B: f}", default="env: {A: d, C: d}", override="env: {B: o}")
    assert found.guest.env == {"A": "f", "B": "o", "C": "d"}


def test_lists_begin_with_the_override() -> None:
    scripts = {name: f"provision: [{{script: {name}}}]" for name in ("default", "override")}
    found = spec("provision: [{script: file}]", **scripts)
    assert [each.script for each in found.guest.provision] == ["override", "file", "default"]


def test_mounts_are_updated_in_place_from_low_to_high() -> None:
    found = spec(
        "mounts: [{location: /a}, {location: /home/ann/p}]",
        default="mounts: [{location: /d}, {location: /a, mountPoint: /x}]",
        override="mounts: [{location: /a, writable: true}]",
    )
    assert [(each.location, each.mount_point, each.writable) for each in found.shares] == [
        ("/d", "/d", False),
        ("/a", "/x", True),
        ("/home/ann/p", "/home/ann/p", False),
    ]


def test_the_user_s_base_is_a_base() -> None:
    found = spec("env: {A: f}", base="env: {A: b, B: b}\nprovision: [{script: b}]\n")
    assert found.guest.env == {"A": "f", "B": "b"}
    assert found.guest.provision[0].script == "b"


def test_a_problem_names_the_user_s_file() -> None:
    with pytest.raises(errors.ConfigError) as info:
        spec("cpus: 2", override="\ncpus: x\n")
    assert (
        "$GAOVM_HOME/_config/override.yaml:2: cpus: expected a whole number" in info.value.message
    )


def test_a_version_of_the_user_s_file_says_nothing_about_the_vm() -> None:
    assert spec("cpus: 2", default="minimumLimaVersion: 99.0.0\nbase: x\n").processors.count == 2


def tree(text: str, **layers: str) -> Any:
    files: dict[str, str | bytes] = {f"config:{name}.yaml": each for name, each in layers.items()}
    found = Findings("c.yaml")
    root = config.tree(with_image(text), "c.yaml", "/home/ann", "/p", Files(files), found)
    assert not found.problems
    return plain(root)


def test_the_highest_list_of_servers_counts() -> None:
    off = "hostResolver: {enabled: false}\n"
    assert tree(off + "dns: []", default="dns: [1.1.1.1]")["dns"] == ["1.1.1.1"]
    servers = tree(off + "dns: [2.2.2.2]", default="dns: [1.1.1.1]", override="dns: [3.3.3.3]")
    assert servers["dns"] == ["3.3.3.3"]


def test_certificates_are_added_once() -> None:
    found = tree(
        "caCerts: {certs: [b, a], files: [/b]}",
        default="caCerts: {certs: [a], files: [/a]}",
        override="caCerts: {removeDefaults: true}",
    )
    assert found["caCerts"] == {"certs": ["a", "b"], "files": ["/a", "/b"], "removeDefaults": True}


def test_networks_of_one_interface_are_updated() -> None:
    found = tree(
        "networks: [{interface: lima0, socket: /s}, {lima: user-v2}]",
        default="networks: [{interface: lima0, lima: user-v2, metric: 200}]",
        override="networks: [{interface: lima0, metric: 300}]",
    )
    assert found["networks"] == [
        {"interface": "lima0", "socket": "/s", "metric": 300},
        {"lima": "user-v2"},
    ]


def test_lists_of_texts_that_name_nothing_stay() -> None:
    assert tree("dns: null", default="mounts: []")["mounts"] == []
