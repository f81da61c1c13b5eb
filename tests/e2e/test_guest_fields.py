"""The fields of a config that are acted on inside the guest, in real guests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.world import LIGHT, World

FIELDS = (
    LIGHT
    + """\
param: {level: high}
env: {COLOUR: blue}
timezone: Europe/Oslo
hostResolver: {hosts: {db.test: 10.0.0.7, alias.test: db.test}}
caCerts: {files: [ca.crt]}
provision:
  - mode: user
    script: echo "user $COLOUR $(id -u)" >> /var/tmp/order
  - mode: system
    script: |
      #!/bin/sh
      grep -q level=high /etc/conf.d/level && echo "system $PARAM_level" >> /var/tmp/order
      chmod 666 /var/tmp/order
  - mode: data
    path: /etc/conf.d/level
    content: |
      level={{.Param.level}}
    permissions: 640
  - mode: data
    path: "{{.Home}}/deep/er/file"
    owner: "{{.User}}"
    content: mine
  - mode: data
    path: /etc/motd
    content: other
    overwrite: false
  - mode: dependency
    script: echo "dependency $(systemctl is-system-running)" >> /var/tmp/order
  - mode: boot
    script: |
      echo "boot $(systemctl is-system-running)" > /var/tmp/order
      echo kept > /etc/motd
"""
)


def certificate(directory: Path) -> str:
    """Make a certificate authority's certificate; return its file's text."""
    path = directory / "ca.crt"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=GaoVM"
    command = [*words.split(), "-keyout", "/dev/null", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path.read_text()


def inside(world: World, project: Path, script: str) -> list[str]:
    """Return the lines that a script of the user's writes."""
    done = world.run("exec", "--", "sh", "-c", script, cwd=project)
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def fields(world: World) -> Path:
    """Bring a VM up that uses the fields; the value is its project directory."""
    project = world.project("fields", FIELDS)
    certificate(project)
    world.run("up", cwd=project, timeout=900, http_proxy="http://proxy.test:3128")
    return project


def test_provision_runs_in_lima_s_order(world: World, fields: Path) -> None:
    order = inside(world, fields, "cat /var/tmp/order")
    assert [line.split()[0] for line in order] == [
        "boot",
        "dependency",
        "system",
        "user",
    ]
    assert order[0] != "boot running"  # the distribution still boots
    assert order[2] == "system high"
    assert order[3] == f"user blue {os.getuid() or 0}"


def test_data_is_written_with_owner_and_permissions(world: World, fields: Path) -> None:
    show = "stat -c '%a %U' /etc/conf.d/level ~/deep/er/file; cat ~/deep/er/file /etc/motd"
    lines = inside(world, fields, show)
    assert lines[0] == "640 root"
    assert lines[1].startswith("644 ")
    assert lines[2] == "minekept"


def test_names_zone_and_proxies(world: World, fields: Path) -> None:
    show = "getent hosts db.test alias.test | awk '{print $1}'; date -d @1767225600 +%z"
    show += "; cat /etc/timezone; echo $HTTP_PROXY; grep -c ^http_proxy= /etc/environment"
    assert inside(world, fields, show) == [
        "10.0.0.7",
        "10.0.0.7",
        "+0100",
        "Europe/Oslo",
        "http://proxy.test:3128",
        "1",
    ]


def test_the_guest_trusts_the_certificate(world: World, fields: Path) -> None:
    text = (fields / "ca.crt").read_text()
    bundle = "\n".join(inside(world, fields, "cat /etc/ssl/certs/ca-certificates.crt"))
    assert text.strip() in bundle


def test_zone_and_names_change_in_the_running_guest(world: World, fields: Path) -> None:
    config = fields / ".lima" / "config.yaml"
    config.write_text(FIELDS.replace("Europe/Oslo", "Asia/Tokyo").replace("10.0.0.7", "10.0.0.8"))
    told = world.run("up", cwd=fields, http_proxy="http://other.test:1").stderr.decode()
    assert "applied at once:" in told
    show = "date -d @1767225600 +%z; getent hosts alias.test | cut -d' ' -f1; echo $http_proxy"
    assert inside(world, fields, show) == ["+0900", "10.0.0.8", "http://other.test:1"]
