"""Commands against a fake daemon: what they send, print and return."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors, version


def _serve_vms(daemon: fakes.FakeDaemon, *vms: dict[str, Any]) -> None:
    known = {vm["name"]: vm for vm in vms}

    def status(params: dict[str, Any], call: fakes.Call) -> Any:
        if params["name"] not in known:
            raise errors.VmNotFound(f"there is no VM {params['name']}")
        return known[params["name"]]

    daemon.handlers["vm.list"] = lambda params, call: {"vms": list(known.values())}
    for method in ("vm.status", "vm.stop"):
        daemon.handlers[method] = status


def test_ls_prints_a_table_or_json(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    _serve_vms(daemon, fakes.vm("web-dev"), fakes.vm("db", state="stopped", ports=[]))
    lines = gaovm("ls").stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "STATE", "CPUS", "MEMORY", "DISK", "PORTS", "PROJECT"]
    assert "4080->80" in lines[1] and lines[2].split()[:2] == ["db", "stopped"]
    assert json.loads(gaovm("ls", "--json").stdout)["vms"][1]["name"] == "db"


def test_a_loop_that_stood_still_is_shown(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    known: dict[str, Any] = {"pid": 1, "stalls": {"count": 2, "longest_s": 3.21}}
    daemon.handlers["daemon.status"] = lambda params, call: known
    assert (
        b"stalls  2, the longest 3.2s; see gaovm logs --daemon" in gaovm("daemon", "status").stdout
    )
    (check,) = [
        c for c in json.loads(gaovm("doctor", "--json").stdout)["checks"] if c["name"] == "daemon"
    ]
    assert (check["level"], check["found"]) == ("warn", "stood still 2 times, for 3.2s at most")
    known["stalls"] = {"count": 0, "longest_s": 0.0}
    assert b"stalls" not in gaovm("daemon", "status").stdout


def test_an_empty_ls_says_what_to_do(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    done = gaovm("ls")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"gaovm init" in done.stderr
    assert json.loads(gaovm("ls", "--json").stdout) == {"vms": []}


@pytest.mark.parametrize(
    ("words", "environment", "name"),
    [
        (("status",), {}, "web-dev"),
        (("status",), {"VM_NAME": "env"}, "env"),
        (("status", "--name", "opt"), {"VM_NAME": "env"}, "opt"),
        (("status", "word"), {"VM_NAME": "env"}, "word"),
    ],
)
def test_the_name_is_found(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    words: tuple[str, ...],
    environment: dict[str, str],
    name: str,
) -> None:
    _serve_vms(daemon, *(fakes.vm(known) for known in ("web-dev", "env", "opt", "word")))
    below = gaovm.project / "a" / "b"
    below.mkdir(parents=True)
    done = gaovm(*words, "--json", cwd=below, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == name


def test_without_a_project_or_name_nothing_is_guessed(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, tmp_path: Path
) -> None:
    done = gaovm("status", cwd=tmp_path)
    assert done.returncode == 2
    assert b"gaovm init" in done.stderr
    assert gaovm("status", "a", "--name", "b").returncode == 2
    assert gaovm("status", "no/name").returncode == 2
    assert daemon.calls == []


def test_status_says_why(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    failed = {"code": "boot_failed", "message": "no answer\x1b[2J", "remedy": "look", "at": "x"}
    _serve_vms(daemon, fakes.vm("web-dev", last_error=failed))
    text = gaovm("status").stdout.decode()
    for part in (
        "tcg: /dev/kvm does not run code",
        "9p, no virtiofsd",
        "served by user id 1000; no set-id bits, hidden",
        "127.0.0.1:4080 -> 127.0.0.1:80",
        "agent after 3.0s, ready after 4.2s",
        "debian:12, generic kernel, abababababab\n",
        "no answer[2J",
        "look",
    ):
        assert part in text, part


def test_a_misspelt_name_creates_nothing_and_is_suggested(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    _serve_vms(daemon, fakes.vm("web-dev"))
    for words in (("up", "web-dve"), ("status", "web-dve"), ("stop", "web-dve")):
        done = gaovm(*words)
        assert done.returncode == 1
        assert b"did you mean web-dev?" in done.stderr
    assert "vm.up" not in dict(daemon.calls)


def test_the_daemons_error_decides_the_exit_code(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    def refuse(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.DigestMismatch("is not what it should be", remedy="another digest")

    daemon.handlers["image.pull"] = refuse
    done = gaovm("image", "pull", "http://x/y", "--digest", "sha256:00", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "digest_mismatch"
    assert done.stderr.endswith(b"gaovm: is not what it should be\n  remedy: another digest\n")
    assert gaovm("image", "pull", "http://x/y").returncode == 1  # a digest is not needed
    assert gaovm("image", "pull").returncode == 2


def test_no_daemon_is_exit_code_3(gaovm: conftest.Gaovm) -> None:
    assert gaovm("daemon", "status").returncode == 3
    assert gaovm("daemon", "stop").returncode == 0


def test_daemon_upgrade_shows_both_versions_and_an_installation_that_is_not_this_one(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    given = {"new_version": version.VERSION, "pid": 7, "vms": 3, "clients": 2, "python": "/py"}

    def upgrade(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="wait", message="waiting for up of VM web-dev")
        return {"old_version": "0.0.1", **given}

    daemon.handlers["daemon.upgrade"] = upgrade
    done = gaovm("daemon", "upgrade", "--timeout", "5m")
    assert dict(daemon.calls)["daemon.upgrade"] == {"timeout_s": 300.0}
    assert f"0.0.1 -> {version.VERSION}, pid 7" in done.stdout.decode()
    assert b"VMs          3" in done.stdout
    assert b"waiting for up of VM web-dev" in done.stderr
    assert b"/py" not in done.stderr
    given["new_version"] = "9.9.9"
    done = gaovm("daemon", "upgrade", "--json")
    assert json.loads(done.stdout)["new_version"] == "9.9.9"
    assert b"the daemon runs /py" in done.stderr


def test_a_daemon_that_ends_during_its_upgrade_is_said_so(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    def die(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.ConnectionLost("gone")

    daemon.handlers["daemon.upgrade"] = die
    done = gaovm("daemon", "upgrade")
    assert done.returncode == 3
    assert b"ended during the upgrade" in done.stderr


# up -------------------------------------------------------------------------------------------


def _up(daemon: fakes.FakeDaemon, name: str = "web-dev", **result: Any) -> None:
    def handler(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="image", message="building debian:12", percent=40)
        call.progress(phase="boot", message="kernel\x1b[31m")
        vm = fakes.vm(name, message="Hello from the file")
        return {"vm": vm, "created": True, "already": False, "warnings": ["ssh: ignored"], **result}

    daemon.handlers["vm.up"] = daemon.handlers["vm.start"] = handler


def test_up_sends_the_file_and_shows_everything(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    _up(daemon)
    done = gaovm("up")
    assert done.returncode == 0, done.stderr
    sent = daemon.params("vm.up")
    assert sent["config_text"] == 'images: [{location: "debian:12"}]\n'
    assert sent["project_dir"] == str(gaovm.project)
    assert sent["config_path"] == str(gaovm.project / ".lima" / "config.yaml")
    assert sent["wait"] == "ready" and "name" not in sent and sent["user"]["name"]
    assert done.stderr.decode().splitlines() == [
        "image      building debian:12  40%",
        "boot       kernel[31m",
        "warning: ssh: ignored",
    ]
    text = done.stdout.decode()
    for part in ("web-dev is up", "4.2s", "127.0.0.1:4080", "Hello from the file", "gaovm shell"):
        assert part in text, part


def test_up_names_the_vm_it_means(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    mine = fakes.vm("mine", project=str(gaovm.project))
    vms = [mine, fakes.vm("other")]
    daemon.handlers["vm.list"] = lambda params, call: {"vms": vms, "here": ["mine"]}
    _up(daemon)
    for words, method, name in (
        (("up", "web-dev"), "vm.up", "web-dev"),
        (("up", "mine"), "vm.up", "mine"),
        (("up", "--name", "new"), "vm.up", "new"),
        (("up", "other"), "vm.start", "other"),
    ):
        daemon.calls.clear()
        assert gaovm(*words, "-q", "--wait=agent").returncode == 0
        assert daemon.params(method)["name"] == name
        assert daemon.params(method)["wait"] == "agent"


def test_what_is_paused_is_said_to_be(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    _up(daemon, vm=fakes.vm("web-dev", paused=True), already=True)
    assert b"gaovm resume" in gaovm("up", "-q").stdout + gaovm("up").stdout
    assert b"already; it is paused: `gaovm resume`" in gaovm("start").stderr


def test_up_passes_vm_name_on_and_starts_without_a_project(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, tmp_path: Path
) -> None:
    _up(daemon)
    assert gaovm("up", "-q", env={"VM_NAME": "env"}).returncode == 0
    assert daemon.params("vm.up")["env_name"] == "env"
    assert gaovm("up", "-q", "--name", "away", cwd=tmp_path).returncode == 0
    assert daemon.params("vm.start")["name"] == "away"


def _blocking_up(daemon: fakes.FakeDaemon) -> threading.Event:
    undone = threading.Event()

    def handler(params: dict[str, Any], call: fakes.Call) -> Any:
        call.progress(phase="boot", message="kernel")
        assert call.cancelled.wait(20)
        undone.set()
        raise errors.Cancelled("the up was cancelled and undone")

    daemon.handlers["vm.up"] = handler
    return undone


def test_ctrl_c_cancels_and_waits_for_the_undoing(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    undone = _blocking_up(daemon)
    process = gaovm.popen("up")
    assert process.stderr is not None
    assert process.stderr.readline() == b"boot       kernel\n"
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=20)
    assert process.returncode == 130
    assert undone.is_set(), text
    lines = text.decode().splitlines()
    assert lines[0].startswith("interrupted: undoing")
    assert lines[1] == "gaovm: interrupted: the up was cancelled and undone"


def test_a_time_limit_undoes_as_well(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    undone = _blocking_up(daemon)
    done = gaovm("up", "--timeout", "1s")
    assert done.returncode == 124, done.stderr
    assert b"it was undone" in done.stderr
    assert undone.is_set()


# destroy, ports, images -----------------------------------------------------------------------


def test_destroy_asks_on_a_terminal_and_needs_y_elsewhere(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    _serve_vms(daemon, {**fakes.vm("web-dev"), "name": "web-2-dev"})
    known = daemon.handlers["vm.status"]
    daemon.handlers["vm.status"] = lambda params, call: known({"name": "web-2-dev"}, call)
    freed = {"name": "web-dev", "freed_bytes": 3 << 20}
    daemon.handlers["vm.destroy"] = lambda params, call: freed
    done = gaovm("destroy")
    assert done.returncode == 2 and done.stderr.endswith(b"remedy: gaovm destroy -y\n")
    assert b"gaovm destroy -y db\n" in gaovm("destroy", "db").stderr
    assert "vm.destroy" not in dict(daemon.calls)
    done = gaovm("destroy", "-y")
    assert done.returncode == 0 and b"3.0 MiB freed" in done.stderr
    assert daemon.params("vm.status")["of_project"].endswith("/web")
    assert daemon.params("vm.destroy") == {"name": "web-2-dev"}, "the one that was asked about"
    assert gaovm("destroy", "-y", "web-dev").returncode == 0  # an explicit name needs no check
    assert "of_project" not in daemon.calls[-2][1]
    assert gaovm("destroy", "-y", "--name", "").returncode == 2


def test_ports(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    port = fakes.vm("x")["ports"][0]
    daemon.handlers["vm.ports.add"] = lambda params, call: port
    daemon.handlers["vm.ports.list"] = lambda params, call: {"ports": [port]}
    daemon.handlers["vm.ports.remove"] = lambda params, call: {
        "removed": [port] if params.get("host_port") == 4080 else []
    }
    assert b"127.0.0.1:4080" in gaovm("port", "add", "3000:80", "web").stdout
    sent = daemon.params("vm.ports.add")
    assert sent == {"guest_port": 80, "host_port": 3000, "name": "web"}
    assert b"file" in gaovm("port", "ls").stdout
    assert gaovm("port", "rm", "4080").returncode == 0
    done = gaovm("port", "rm", "81", "--json")
    assert done.returncode == 1 and b"forwards no host port 81" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "not_found"
    for word in ("0", "65536", "x", "1:2:3", "-1"):
        assert gaovm("port", "add", word).returncode == 2, word


def test_images(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    image = {
        "name": "debian:12",
        "arch": "x86_64",
        "kernel": "generic",
        "digest": "sha256:" + "cd" * 32,
        "size_bytes": 400 << 20,
        "created_at": "x",
        "used_by": ["web-dev"],
    }
    daemon.handlers["image.list"] = lambda params, call: {"images": [image]}
    daemon.handlers["image.build"] = lambda params, call: image
    daemon.handlers["image.prune"] = lambda params, call: {"removed": [], "freed_bytes": 0}
    assert b"cdcdcdcdcdcd  web-dev" in gaovm("image", "ls").stdout
    assert gaovm("image", "build", "debian:12", "--kernel=cloud", "-f").returncode == 0
    sent = daemon.params("image.build")
    assert sent == {"name": "debian:12", "kernel": "cloud", "force": True}
    assert b"nothing to remove" in gaovm("image", "prune").stderr


def test_logs_need_no_daemon(gaovm: conftest.Gaovm) -> None:
    done = gaovm("logs")
    assert done.returncode == 1
    directory = gaovm.home / "vms" / "web-dev"
    directory.mkdir(parents=True)
    (directory / "serial.log.1").write_bytes(b"zero\n")
    (directory / "serial.log").write_bytes(b"one\n\xfftwo\n")
    assert gaovm("logs", "--serial").stdout == b"zero\none\n\xfftwo\n"
    assert gaovm("logs", "--serial", "-n", "1").stdout == b"\xfftwo\n"
    assert gaovm("logs", "--serial", "-n3").stdout == b"zero\none\n\xfftwo\n"
    assert gaovm("logs", "--driver").returncode == 1
    assert b"did you mean web-dev?" in gaovm("logs", "-f", "web-dve").stderr
    assert gaovm("logs", "--level", "loud").returncode == 2
    assert b"--since: expected a time" in gaovm("logs", "--since", "soon").stderr


def _log_line(second: int, level: str, message: str, vm: str | None = "web-dev") -> bytes:
    ts = f"2026-01-01T00:00:{second:02}.000Z"
    line = {"ts": ts, "level": level, "logger": "gaovm.daemon.x", "message": message, "vm": vm}
    return json.dumps(line).encode() + b"\n"


def test_logs_are_merged_by_time(gaovm: conftest.Gaovm) -> None:
    directory = gaovm.home / "vms" / "web-dev"
    for path in (directory, gaovm.home / "logs"):
        path.mkdir(parents=True)
    (directory / "driver.log.1").write_bytes(_log_line(1, "info", "configured"))
    (directory / "driver.log").write_bytes(_log_line(3, "warn", "no answer"))
    (gaovm.home / "logs" / "gaovmd.log").write_bytes(
        _log_line(2, "info", "of ours") + _log_line(2, "info", "of another", vm="db-dev")
    )
    text = gaovm("logs").stdout.decode()
    assert [line.split(maxsplit=4)[1:] for line in text.splitlines()] == [
        ["driver", "info", "x:", "configured"],
        ["daemon", "info", "x:", "of ours"],
        ["driver", "warn", "x:", "no answer"],
    ]
    lines = gaovm("logs", "--json", "--level", "warn").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["no answer"]
    late = gaovm("logs", "--since", "2026-01-01T00:00:02Z", "-n", "9").stdout
    assert late.count(b"\n") == 2 and b"configured" not in late
    assert b"of another" in gaovm("logs", "--all").stdout
    assert gaovm("logs", "--daemon").stdout.count(b"\n") == 2
    assert gaovm("logs", "--daemon", "web-dev").stdout.count(b"\n") == 1
    assert b"no answer" in gaovm("logs", "--driver", "-n", "1").stdout


def test_log_level(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    asked: list[Any] = []

    def level(params: Any, call: Any) -> Any:
        asked.append(params)
        name = params.get("name")
        return {"name": name, "level": params["level"] or "info", "running": name != "idle"}

    daemon.handlers["log.level"] = level
    assert gaovm("log-level").stdout == b"VM web-dev: info\n"
    assert gaovm("log-level", "debug", "idle").stdout == (b"VM idle: debug (from its next start)\n")
    assert gaovm("log-level", "--daemon", "warn").stdout == b"the daemon: warn\n"
    assert asked[1:] == [{"level": "debug", "name": "idle"}, {"level": "warn"}]
    assert b"loud is no level: error, warn" in gaovm("log-level", "loud", "web").stderr
    assert gaovm("log-level", "--daemon", "web", "info").returncode == 2

    def unknown(params: Any, call: Any) -> Any:
        raise errors.VmNotFound("there is no VM 'loud'")

    daemon.handlers["log.level"] = unknown
    assert gaovm("log-level", "loud").stderr.decode().splitlines()[1:] == [
        "  remedy: levels are error, warn, info, debug",
        "          gaovm up  # make or start the VM of this project",
        "          gaovm ls  # list the VMs",
    ]
    _serve_vms(daemon, fakes.vm("loud-dev"))
    assert b"debug\n          did you mean loud-dev?\n" in gaovm("log-level", "loud-de").stderr


def test_logs_f_follows_a_rotation_until_ctrl_c(gaovm: conftest.Gaovm) -> None:
    directory = gaovm.home / "vms" / "web-dev"
    directory.mkdir(parents=True)
    log = directory / "serial.log"
    log.write_bytes(b"one\n")
    process = gaovm.popen("logs", "-f", "--serial")
    assert process.stdout is not None
    assert process.stdout.readline() == b"one\n"
    log.rename(directory / "serial.log.1")
    log.write_bytes(b"two\n")
    assert process.stdout.readline() == b"two\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_closed_pipe_is_no_traceback(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    _serve_vms(daemon, *(fakes.vm(f"vm{number}") for number in range(3000)))
    process = gaovm.popen("ls")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == 1


def test_init_writes_and_never_overwrites_unasked(gaovm: conftest.Gaovm, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    done = gaovm("init", "minimal", cwd=fresh)
    assert done.returncode == 0, done.stderr
    assert b"gaovm up" in done.stdout
    assert {p.name for p in (fresh / ".lima").iterdir()} == {"config.yaml", ".gitignore"}
    (fresh / ".lima" / "config.yaml").write_text("mine")
    assert gaovm("init", cwd=fresh).returncode == 2
    assert (fresh / ".lima" / "config.yaml").read_text() == "mine"
    assert gaovm("init", "--force", cwd=fresh).returncode == 0
    assert "images" in (fresh / ".lima" / "config.yaml").read_text()
    done = gaovm("init", "nonsense", cwd=fresh)
    assert done.returncode == 2 and b"minimal" in done.stderr


def test_init_writes_through_no_link_that_a_guest_laid(
    gaovm: conftest.Gaovm, tmp_path: Path
) -> None:
    project, precious = tmp_path / "project", tmp_path / "precious"
    (project / ".lima").mkdir(parents=True)
    precious.write_text("keys")
    for name in ("config.yaml.new", "config.yaml", ".gitignore.new"):
        (project / ".lima" / name).symlink_to(precious)
    assert gaovm("init", "--force", "minimal", cwd=project).returncode == 0
    assert (precious.read_text(), (project / ".lima" / "config.yaml").is_symlink()) == (
        "keys",
        False,
    )
    shutil.rmtree(project / ".lima")
    (tmp_path / "other").mkdir()
    (project / ".lima").symlink_to(tmp_path / "other")
    done = gaovm("init", "minimal", cwd=project)
    assert (done.returncode, b"symbolic link" in done.stderr) == (1, True), done.stderr
    assert list((tmp_path / "other").iterdir()) == []


def test_version_and_module(gaovm: conftest.Gaovm) -> None:
    done: subprocess.CompletedProcess[bytes] = gaovm("--version")
    assert done.stdout.startswith(b"gaovm ")


@pytest.mark.parametrize(("kind", "said"), [("directory", "Is a directory"), ("link", "No such")])
def test_a_config_that_is_no_file_is_named_and_not_overlooked(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, kind: str, said: str
) -> None:
    config = gaovm.project / ".lima" / "config.yaml"
    config.unlink()
    config.mkdir() if kind == "directory" else config.symlink_to("gone")
    done = gaovm("up")
    assert done.returncode == 2
    assert f"gaovm: {config}: {said}" in done.stderr.decode()
