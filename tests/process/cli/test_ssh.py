"""The commands for OpenSSH, against a fake daemon and a guest that gives back what it reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors
from gaovm.openssh import alias, places


@pytest.fixture
def web(daemon: fakes.FakeDaemon) -> fakes.FakeDaemon:
    vm = fakes.vm("web-dev")
    daemon.handlers |= {
        "vm.status": lambda params, call: vm,
        "vm.list": lambda params, call: {"vms": [vm]},
    }
    return daemon


def test_the_proxy_relays_both_ways_and_each_end(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    data = os.urandom(3 << 20)
    done = gaovm("ssh-proxy", "web-dev", stdin=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"SSH-2.0-fake\r\n" + data


def test_the_proxy_gives_the_guest_its_key_and_ours(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver, daemon: fakes.FakeDaemon
) -> None:
    assert gaovm("ssh-proxy", "web-dev").returncode == 0
    assert daemon.params("vm.session") == {"name": "web-dev", "kind": "ssh"}
    (start,) = driver.started
    home = str(gaovm.home)
    assert start == {
        "host_key": Path(places.host_key(home, "web-dev")).read_text(),
        "authorized_keys": [Path(places.user_key(home) + ".pub").read_text().strip()],
    }


def test_the_proxy_hands_the_socket_on_and_ends(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = gaovm.argv("ssh-proxy", "--home", str(gaovm.home), "--pass-socket", "web-dev")
        child = subprocess.Popen(
            argv, stdout=theirs.fileno(), env={**gaovm.environment, "GAOVM_HOME": "/x"}
        )
        message, fds, _, _ = socket.recv_fds(ours, 16, 4)
        assert child.wait(30) == 0
        assert (message, len(fds)) == (b"\0", 1)
        with socket.socket(fileno=fds[0]) as guest:
            # the first bytes came together with STARTED: none of them may be lost
            assert fakes.read_exactly(guest, 14) == b"SSH-2.0-fake\r\n"
            guest.sendall(b"hello")
            assert fakes.read_exactly(guest, 5) == b"hello"


def test_a_socket_cannot_be_passed_through_a_pipe(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    done = gaovm("ssh-proxy", "--pass-socket", "web-dev")
    assert done.returncode == 2
    assert b"takes no socket" in done.stderr


def test_a_guest_without_sshd_is_told_plainly(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    driver.refuse = {"code": "not-found", "message": "the guest has no sshd"}
    done = gaovm("ssh-proxy", "web-dev")
    assert done.returncode != 0
    assert b"no sshd" in done.stderr and b"apt-get install openssh-server" in done.stderr


def test_write_is_idempotent_and_remove_takes_all_back(
    gaovm: conftest.Gaovm, web: fakes.FakeDaemon
) -> None:
    place = gaovm.home / ".ssh"
    for _ in range(2):
        done = gaovm("ssh-config", "--write", "web-dev")
        assert done.returncode == 0, done.stderr
    assert (place / "gaovm.config").read_text().count("Host gaovm-web-dev\n") == 1
    assert (place / "config").read_text().count("Include") == 1
    shown = gaovm("ssh-config", "web-dev")
    assert shown.stdout.decode() in (place / "gaovm.config").read_text()
    assert b"PRIVATE" not in shown.stdout
    assert gaovm("ssh-config", "--remove").returncode == 0
    assert not (place / "gaovm.config").exists()
    assert b"no alias" in gaovm("ssh-config", "--remove", "web-dev").stderr


def test_an_unknown_vm_makes_no_key(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    def missing(params: object, call: object) -> object:
        raise errors.VmNotFound("no VM")

    daemon.handlers["vm.status"] = daemon.handlers["vm.session"] = missing
    for words in (["ssh-config", "--write", "nope"], ["ssh-proxy", "nope"], ["ssh", "nope"]):
        assert gaovm(*words).returncode not in (0, None)
    assert not (gaovm.home / "ssh").exists()


def test_a_vm_that_does_not_run_is_not_connected_to(
    gaovm: conftest.Gaovm, web: fakes.FakeDaemon
) -> None:
    stopped = fakes.vm("web-dev", state="stopped", observed="stopped")
    web.handlers["vm.status"] = lambda params, call: stopped
    for word, code in (("ssh", 255), ("code", errors.StateConflict.exit_code)):
        done = gaovm(word, "web-dev")
        assert done.returncode == code
        assert done.returncode == code or (code == 1 and done.returncode)
        assert b"not running (stopped)" in done.stderr and b"gaovm up web-dev" in done.stderr
    assert not (gaovm.home / ".ssh").exists()


def test_uninstall_takes_the_aliases_along(gaovm: conftest.Gaovm, web: fakes.FakeDaemon) -> None:
    assert gaovm("ssh-config", "--write", "web-dev").returncode == 0
    web.end()
    (gaovm.home / "gaovmd.lock").touch()
    done = gaovm("uninstall", "--yes")
    assert done.returncode == 0, done.stderr
    assert not (gaovm.home / "ssh").exists()
    assert not (gaovm.home / ".ssh" / "gaovm.config").exists()


def stub(place: Path, name: str) -> None:
    """Put a program on PATH that shows its arguments."""
    place.mkdir(exist_ok=True)
    (place / name).write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n")
    (place / name).chmod(0o755)


def test_ssh_becomes_ssh_with_the_options_of_the_alias(
    gaovm: conftest.Gaovm, web: fakes.FakeDaemon, tmp_path: Path
) -> None:
    stub(tmp_path / "bin", "ssh")
    path = f"{tmp_path / 'bin'}:{gaovm.environment['PATH']}"
    done = gaovm("ssh", "web-dev", "-u", "root", "--", "uname", "-a", env={"PATH": path})
    words = done.stdout.decode().splitlines()
    assert done.returncode == 7
    assert words[-5:] == ["-l", "root", "gaovm-web-dev", "uname", "-a"]
    assert "StrictHostKeyChecking=yes" in words and "ForwardAgent=no" in words


def test_code_opens_the_project_on_the_alias(
    gaovm: conftest.Gaovm, web: fakes.FakeDaemon, tmp_path: Path
) -> None:
    vm = fakes.vm("web-dev")
    vm["mounts"][0] |= {"location": str(gaovm.project), "mount_point": "/srv/web"}
    web.handlers["vm.status"] = lambda params, call: vm
    stub(tmp_path / "bin", "code")
    path = {"PATH": f"{tmp_path / 'bin'}:{gaovm.environment['PATH']}"}
    for words, directory in (
        (["web-dev"], "/srv/web"),
        (["web-dev", "/etc"], "/etc"),
        (["--name", "web-dev", "./src"], "/srv/web/src"),
    ):
        done = gaovm("code", *words, env=path)
        assert done.returncode == 7
        said = done.stdout.decode().splitlines()
        assert said == ["--remote", "ssh-remote+gaovm-web-dev", directory]
    assert "Host gaovm-web-dev\n" in (gaovm.home / ".ssh" / "gaovm.config").read_text()


def test_without_code_the_remedy_names_the_host(
    gaovm: conftest.Gaovm, web: fakes.FakeDaemon
) -> None:
    done = gaovm("code", "--program", "no-such-editor", "web-dev")
    assert done.returncode != 0
    assert b"no-such-editor" in done.stderr and b"gaovm-web-dev" in done.stderr


def test_the_relay_ends_with_a_signal(gaovm: conftest.Gaovm, driver: fakes.FakeDriver) -> None:
    child = subprocess.Popen(
        gaovm.argv("ssh-proxy", "web-dev"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=gaovm.environment,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"SSH-2.0-fake\r\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == -signal.SIGTERM
    child.communicate()


def test_the_alias_works_for_ssh_itself(gaovm: conftest.Gaovm, web: fakes.FakeDaemon) -> None:
    gaovm("ssh-config", "--write", "web-dev")
    config = gaovm.home / ".ssh" / "config"
    argv = ["ssh", "-F", str(config), "-G", alias.host("web-dev")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "user ann\n" in said and f"--home {gaovm.home} --pass-socket web-dev" in said
