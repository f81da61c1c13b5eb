"""Provision scripts, probes, environment, the message."""

from __future__ import annotations

from tests.e2e.world import LIGHT, World

GOOD = (
    LIGHT
    + """\
env:
  COLOUR: "blue green"
provision:
  - mode: system
    script: |
      #!/bin/sh
      id -u > /var/tmp/system
  - mode: user
    script: |
      #!/bin/bash
      echo "$COLOUR" > ~/user
probes:
  - mode: readiness
    description: the marker
    script: |
      #!/bin/sh
      test -e /var/tmp/system
message: |
  Read the README.
"""
)
BAD = (
    LIGHT
    + """\
provision:
  - mode: system
    script: |
      #!/bin/sh
      echo line-before-the-end
      exit 33
"""
)

SEVERAL = """\
base: light.yaml
param:
  level: "high or low"
provision:
  - mode: user
    file: write.sh
probes:
  - script: |
      #!/bin/sh
      test "$PARAM_level" = "{{.Param.level}}"
"""


def test_a_config_of_several_files(world: World) -> None:
    """A base and a script beside the file; the params of the file reach script and probe."""
    project = world.project("several", SEVERAL)
    (project / ".lima" / "light.yaml").write_text(LIGHT)
    (project / ".lima" / "write.sh").write_text('#!/bin/sh\necho "$PARAM_level" > ~/level\n')
    world.run("up", cwd=project, timeout=600)
    shown = world.run("exec", "--", "sh", "-c", "cat ~/level; env", cwd=project).stdout.decode()
    assert shown.splitlines()[0] == "high or low"
    assert "PARAM_" not in shown
    (project / ".lima" / "light.yaml").write_text(LIGHT + "tpmm: true\n")
    refused = world.run("up", cwd=project, check=2).stderr.decode()
    assert f"{project}/.lima/light.yaml:" in refused
    assert "tpmm: unknown field; did you mean `tpm`?" in refused
    world.run("destroy", "-y", cwd=project)


def test_scripts_probe_environment_and_message(world: World) -> None:
    project = world.project("prov", GOOD)
    out = world.run("up", cwd=project, timeout=600).stdout
    assert b"Read the README." in out
    show = "cat /var/tmp/system ~/user; echo $COLOUR"
    lines = world.run("exec", "--", "sh", "-c", show, cwd=project).stdout.decode().splitlines()
    assert lines == ["0", "blue green", "blue green"]
    world.run("destroy", "-y", cwd=project)


def test_failing_script_fails_up_and_the_vm_stays(world: World) -> None:
    project = world.project("badprov", BAD)
    done = world.run("up", cwd=project, check=1, timeout=600)
    text = done.stderr.decode()
    assert "provision[0]" in text
    assert "33" in text
    assert "line-before-the-end" in text
    status = world.json("status", cwd=project)
    assert status["observed"] == "running"
    assert status["state"] == "first-up-failed" or status["state"] == "degraded"
    world.run("exec", "--", "true", cwd=project)
    world.run("destroy", "-y", cwd=project)
