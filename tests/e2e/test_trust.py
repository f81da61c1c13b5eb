"""What the user trusts, in one VM: an interrupted ``up``, a guest that edits its file, a move."""

from __future__ import annotations

import signal
import time

from tests.e2e.world import LIGHT, World

SCRIPT = """\
provision:
  - mode: system
    script: |
      #!/bin/sh
      {line}
"""
WIDER = "mounts: [{location: /etc, mountPoint: /mnt/etc, writable: true}]\n"
WIDER += "portForwards: [{guestPort: 22, hostPort: 0, hostIP: 0.0.0.0}]\n"


def test_a_vm_and_whom_it_trusts(world: World) -> None:
    project = world.home.parent / "projects" / "trust"
    waits = f"until test -e {project}/go; do sleep 0.2; done; echo once >> /var/tmp/runs"
    world.project("trust", LIGHT + SCRIPT.format(line=waits))
    file = project / ".lima" / "config.yaml"

    up = world.start("up", cwd=project, start_new_session=True)
    end = time.monotonic() + 600
    while _readiness(world) != "provisioning":
        assert time.monotonic() < end and up.poll() is None
        time.sleep(0.2)
    up.send_signal(signal.SIGHUP)  # the terminal is closed
    up.communicate(timeout=60)
    status = world.json("status", cwd=project)
    assert (status["state"], status["first_up"]) == ("interrupted", "pending")
    (project / "go").touch()
    world.run("up", cwd=project, timeout=600)
    runs = world.run("exec", "--", "cat", "/var/tmp/runs", cwd=project).stdout
    assert runs == b"once\n", "it went on, and was not begun anew"

    # the guest rewrites the file that describes its cage
    text = file.read_text()
    world.run(
        "exec", "--", "sh", "-c", "cat >> .lima/config.yaml", cwd=project, stdin=WIDER.encode()
    )
    assert file.read_text() == text + WIDER
    asked = world.run("up", cwd=project, check=2).stderr
    assert b"mount /etc (writable)" in asked and b"forward 0.0.0.0" in asked
    after = world.json("status", cwd=project)
    assert after["pending"] == []
    assert [mount["location"] for mount in after["mounts"]] == [str(project)]
    file.write_text(text)

    # a script fails, and is then fixed
    file.write_text(LIGHT + SCRIPT.format(line="exit 33"))
    world.run("provision", cwd=project, check=1)
    assert world.json("status", cwd=project)["state"] == "degraded"
    file.write_text(LIGHT + SCRIPT.format(line="echo mended >> /var/tmp/runs"))
    world.run("up", cwd=project)
    runs = world.run("exec", "--", "cat", "/var/tmp/runs", cwd=project).stdout
    assert runs == b"once\nmended\n"

    # the project moves, and a second one with its name appears
    moved = project.parent / "elsewhere"
    project.rename(moved)
    world.run("exec", "--", "true", cwd=moved)
    world.project("trust")
    done = world.run("exec", "--", "true", cwd=project, check=125)
    assert b"trust-dev" not in done.stderr
    assert world.run("destroy", cwd=project, check=2).stderr.endswith(b"remedy: gaovm destroy -y\n")
    world.run("destroy", "-y", cwd=moved)


def _readiness(world: World) -> str | None:
    vms = world.json("ls")["vms"]
    return next((vm["readiness"] for vm in vms if vm["name"] == "trust-dev"), None)
