"""The fields of a config that are acted on inside the guest, in real guests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, LIGHT, SHORT_BOOT, World

from gaovm.hostfacts import programs

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
      grep -q level=high /etc/conf.d/level || exit 3
      echo "system $PARAM_level $LIMA_CIDATA_NAME" >> /var/tmp/order
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
      printf '#!/bin/sh\\necho "$@" >> /var/tmp/upgraded\\n' > /usr/local/sbin/apt-get
      chmod +x /usr/local/sbin/apt-get
upgradePackages: true
copyToHost:
  - {guest: /etc/conf.d/level, host: "{{.Dir}}/copied-from-guest/level", deleteOnStop: true}
  - {guest: "{{.Home}}/deep/er/file", host: "PROJECT/out/file"}
  - {guest: /etc/missing, host: "PROJECT/out/missing", skipIfMissing: true}
message: |
  {{if eq .HostOS "linux"}}{{.Name}} has {{.Instance.CPUs}}{{else}}other{{end}}
"""
)
EDIT = """\
  - mode: yq
    path: "{{.Home}}/.config/docker/daemon.json"
    owner: "{{.User}}"
    expression: '.features.level = "{{.Param.level}}"'
"""
PLAIN = (
    CONFIG
    + f"vmOpts: {{gaovm: {{{SHORT_BOOT}, setUp: {{probe: 8s}}}}}}\n"
    + """\
plain: true
user: {name: ann, uid: 1234, passwordlessSudo: false}
hostResolver: {enabled: false}
dns: [192.0.2.1, 192.0.2.2]
portForwards: [{guestPort: 8081, hostPort: 0}]
probes:
  - description: the marker
    hint: touch it
    script: |
      #!/bin/sh
      echo looked; test -e /var/tmp/marker
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
    project = world.project("fields")
    text = FIELDS.replace("PROJECT", str(project))
    if programs.yq("x86_64") is not None:
        text = text.replace("provision:\n", "provision:\n" + EDIT)
    (project / ".lima" / "config.yaml").write_text(text)
    certificate(project)
    world.run("daemon", "start")  # without the proxy
    done = world.run("up", cwd=project, timeout=900, http_proxy="http://proxy.test:3128")
    assert b"fields-dev has 1\n" in done.stdout
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
    assert order[2] == "system high fields-dev"
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
    text = config.read_text()
    config.write_text(text.replace("Europe/Oslo", "Asia/Tokyo").replace("10.0.0.7", "10.0.0.8"))
    told = world.run("up", cwd=fields, http_proxy="http://other.test:1").stderr.decode()
    assert "applied at once:" in told
    show = "date -d @1767225600 +%z; getent hosts alias.test | cut -d' ' -f1; echo $http_proxy"
    assert inside(world, fields, show) == ["+0900", "10.0.0.8", "http://other.test:1"]


def test_yq_edits_a_file_as_its_owner(world: World, fields: Path) -> None:
    if programs.yq("x86_64") is None:
        pytest.skip("gaovm-yq is not built here")
    show = "stat -c %U ~/.config/docker/daemon.json; cat ~/.config/docker/daemon.json"
    owner, *lines = inside(world, fields, show)
    assert owner == inside(world, fields, "id -un")[0]
    assert json.loads("".join(lines)) == {"features": {"level": "high"}}


def test_packages_are_upgraded(world: World, fields: Path) -> None:
    lines = inside(world, fields, "cat /var/tmp/upgraded")
    assert lines[0] == "update"
    assert lines[1].endswith("dist-upgrade")


def test_files_are_copied_to_the_host_and_go_with_the_vm(world: World, fields: Path) -> None:
    own = world.home / "vms" / "fields-dev" / "copied-from-guest" / "level"
    assert own.read_text() == "level=high\n"
    assert own.stat().st_mode & 0o777 == 0o600
    assert (fields / "out" / "file").read_text() == "mine"
    assert not (fields / "out" / "missing").exists()
    world.run("stop", cwd=fields)
    assert not own.exists()
    assert (fields / "out" / "file").exists()
    # once more, and without the certificate
    config = fields / ".lima" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("caCerts: {files: [ca.crt]}\n", ""))
    world.run("up", cwd=fields, timeout=600)
    assert own.exists()
    bundle = "\n".join(inside(world, fields, "cat /etc/ssl/certs/ca-certificates.crt"))
    assert (fields / "ca.crt").read_text().strip() not in bundle
    assert "BEGIN CERTIFICATE" in bundle
    world.run("destroy", "-y", cwd=fields)


def test_a_plain_vm_and_a_probe_that_fails(world: World) -> None:
    project = world.project("plain", PLAIN)
    told = world.run("up", cwd=project, check=1, timeout=600).stderr.decode()
    assert "the marker did not pass within 8 s: touch it" in told
    assert "looked" in told
    assert "the guest's log:" in told
    root = ("exec", "--user", "root", "--", "sh", "-c")
    world.run(*root, "touch /var/tmp/marker", cwd=project)
    told = world.run("up", cwd=project, timeout=600).stderr.decode()
    assert "portForwards[0]: plain: true leaves it out" in told
    show = "grep ^nameserver /etc/resolv.conf; stat -c %a ~/password"
    assert inside(world, project, show) == [
        "nameserver 192.0.2.1",
        "nameserver 192.0.2.2",
        "600",
    ]
    mounted = inside(world, project, "cat /proc/mounts")
    assert str(project) not in "\n".join(mounted)
    refused = world.run("exec", "--", "sudo", "-n", "true", cwd=project, check=1)
    assert b"password is required" in refused.stderr
    with_password = "sudo -S true <~/password && echo allowed"
    assert inside(world, project, with_password) == ["allowed"]
    world.run("destroy", "-y", cwd=project)
