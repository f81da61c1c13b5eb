"""Commands about a VM, a directory or an image that exists: what they ask for and what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

WEB = fakes.vm("web-dev")
UP = {"vm": WEB, "created": False, "already": False, "warnings": []}


@pytest.mark.parametrize(
    ("words", "method", "sent", "result", "said"),
    [
        (("pause",), "vm.pause", {}, WEB, "web-dev is paused\n"),
        (("resume",), "vm.resume", {}, WEB, "web-dev goes on\n"),
        (("start",), "vm.start", {"wait": "ready"}, UP, "web-dev is running\n"),
        (
            ("start", "--wait=agent"),
            "vm.start",
            {"wait": "agent"},
            {**UP, "already": True, "vm": {**WEB, "paused": True}},
            "web-dev is running already; it is paused: `gaovm resume` lets it go on\n",
        ),
        (
            ("restart", "--force", "--timeout", "5s"),
            "vm.restart",
            {"wait": "ready", "force": True, "timeout_s": 5.0},
            UP,
            "web-dev is running\n",
        ),
        (
            ("stop", "--no-wait"),
            "vm.stop",
            {"wait": "none"},
            {**WEB, "state": "stopping"},
            "web-dev is stopping\n",
        ),
        (
            ("stop",),
            "vm.stop",
            {},
            {**WEB, "state": "stopped", "first_up": "none"},
            "web-dev is stopped; its first `gaovm up` never finished\n",
        ),
    ],
)
def test_a_vm_that_exists(
    gaovm: conftest.Gaovm,
    daemon: fakes.FakeDaemon,
    words: tuple[str, ...],
    method: str,
    sent: dict[str, Any],
    result: dict[str, Any],
    said: str,
) -> None:
    daemon.handlers[method] = lambda params, call: result
    done = gaovm(words[0], "web-dev", *words[1:])
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().endswith(said)
    params = daemon.params(method)
    assert params.pop("name") == "web-dev"
    assert {key: value for key, value in params.items() if key in sent} == sent
    assert gaovm(words[0], "web-dev", *words[1:], "-q").stderr == b""
    assert json.loads(gaovm(words[0], "web-dev", *words[1:], "--json").stdout) == result


def test_a_directory_adopts_a_vm(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    lost: dict[str, Any] = {"lost": [WEB]}
    daemon.handlers["vm.adopt"] = lambda params, call: WEB if "name" in params else lost
    done = gaovm("adopt")
    assert done.stdout.decode().splitlines()[1].startswith("web-dev ")
    assert b"gaovm adopt NAME" in done.stdout
    assert json.loads(gaovm("adopt", "--json").stdout) == lost
    lost["lost"] = []
    assert gaovm("adopt").stderr == b"no VM has lost its directory\n"
    done = gaovm("adopt", "web-dev", "--force")
    assert done.stdout.startswith(b"web-dev is the VM of this directory now\n")
    sent = daemon.calls[-1][1]
    assert (sent["project_dir"], sent["name"], sent["force"]) == (
        str(gaovm.project),
        "web-dev",
        True,
    )


def test_images_go(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    removed = [{"name": "debian:12", "digest": "sha256:" + "cd" * 32}]
    result: dict[str, Any] = {"removed": removed, "freed_bytes": 5 << 20}
    daemon.handlers["image.remove"] = lambda params, call: result
    done = gaovm("image", "rm", "debian:12")
    assert done.stderr == b"removed debian:12 (cdcdcdcdcdcd); 5.0 MiB freed\n"
    assert json.loads(gaovm("image", "rm", "debian:12", "--json").stdout) == result
    emptied = {"removed": [], "freed_bytes": 0, "cache_freed_bytes": 1 << 30}
    daemon.handlers["image.prune"] = lambda params, call: emptied
    done = gaovm("image", "prune", "--all")
    assert done.stderr == b"the cache is empty; 1.0 GiB freed\nnothing to remove\n"
    assert daemon.params("image.prune")["cache"] is True


def test_a_local_image_is_pulled_by_its_whole_path(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon
) -> None:
    image = {"name": "root", "size_bytes": 1 << 20, "digest": "sha256:" + "cd" * 32}
    daemon.handlers["image.pull"] = lambda params, call: image
    done = gaovm("image", "pull", "./root.img", "--digest", "sha256:" + "cd" * 32)
    assert done.returncode == 0, done.stderr
    assert daemon.params("image.pull")["location"] == f"{gaovm.project}/./root.img"


def test_no_images_yet(gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon) -> None:
    daemon.handlers["image.list"] = lambda params, call: {"images": []}
    done = gaovm("image", "ls")
    assert (done.stdout, done.returncode) == (b"", 0)
    assert b"gaovm image build debian:12" in done.stderr
    assert json.loads(gaovm("image", "ls", "--json").stdout) == {"images": []}
