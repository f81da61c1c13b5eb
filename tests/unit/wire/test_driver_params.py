"""The parameters of the daemon's calls to a driver."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gaovm import errors
from gaovm.wire import convert
from gaovm.wire.driver import launch, params


@pytest.mark.parametrize(
    ("given", "into", "path"),
    [
        ({"guest_port": 0}, params.AddPort, r"\$\.guest_port"),
        ({"guest_port": 80, "host_port": 70000}, params.AddPort, r"\$\.host_port"),
        ({"grace_s": -1}, params.Stop, r"\$\.grace_s"),
        ({"ttl_s": 1e9}, params.OpenSession, r"\$\.ttl_s"),
    ],
)
def test_bad_parameters_are_named(given: Any, into: type[Any], path: str) -> None:
    with pytest.raises(errors.InvalidParams, match=path):
        convert.params(given, into)


def test_missing_parameters_get_defaults() -> None:
    assert convert.params(None, params.Stop) == params.Stop()


def test_a_bad_reply_names_method_and_path() -> None:
    with pytest.raises(errors.InvalidReply, match=r"ports\.add: .*\$\.guest_port"):
        convert.reply("ports.add", {"guest_port": "x"}, params.AddPort)


def test_an_added_port_is_a_forward_of_a_spec() -> None:
    forward = params.AddPort(guest_port=80, host_port=8080, host_ip="0.0.0.0").forward()
    assert (forward.guest_port, forward.host_port) == (80, 8080)
    assert (forward.host_ip, forward.guest_ip) == ("0.0.0.0", "127.0.0.1")


def test_a_launch_request_names_the_files_of_its_vm() -> None:
    spec = {
        "name": "dev",
        "image": {"location": "debian:12"},
        "guest": {
            "user": {"name": "u", "uid": 1000, "gid": 1000, "home": "/home/u"},
            "hostname": "dev",
        },
    }
    boot = {"disk": "/images/disk", "kernel": "/images/kernel"}
    places = {"home": "/h", "vm_dir": "/h/vms/dev", "run_dir": "/h/run/1"}
    request = msgspec.convert({"spec": spec, "artefacts": boot, **places}, launch.LaunchRequest)
    assert request.disk == "/h/vms/dev/disk.qcow2"
    assert request.vnc_socket == "/h/run/1/vnc.sock"
