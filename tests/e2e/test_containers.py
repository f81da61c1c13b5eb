"""Containers in a VM: our templates, each with a container of the guest's own files, and Lima's.

Ours install some 100 MB from Debian's mirror under emulation, so only ``--long`` runs them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests import budgets
from tests.e2e.world import LIGHT, World

#: Less than the templates' machine, and a user who is not root: these are for such users.
SMALL = "cpus: 1\nmemory: 512MiB\nuser: {name: dev, uid: 1000}\n"
#: Makes an image of the guest's shell alone, and runs a container of it; no registry is asked.
TRY = r"""
set -eu
cd "$(mktemp -d)"
mkdir -p rootfs/bin rootfs/lib64 rootfs/proc rootfs/dev rootfs/etc rootfs/sys
cp /bin/dash rootfs/bin/sh
for file in $(ldd /bin/dash | grep -o '/[^ ]*'); do
  mkdir -p "rootfs$(dirname "$file")"
  cp "$file" "rootfs$file"
done
tar -C rootfs -c . | $RUN import - own:1 > /dev/null
$RUN run --rm own:1 /bin/sh -c 'echo "in a container"'
$RUN run -d --name kept own:1 /bin/sh -c 'while :; do read x < /dev/zero; done' > /dev/null
$RUN ps --format '{{.Names}}'
"""


@pytest.mark.skipif(not budgets.LONG, reason="installs much: only with --long")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("template", "run"),
    [
        ("docker", "docker"),
        ("docker-rootful", "docker"),
        ("podman", "podman"),
        ("podman-rootful", "sudo podman"),
    ],
)
def test_containers_run(world: World, template: str, run: str) -> None:
    project = world.home.parent / "projects" / template
    project.mkdir(parents=True)
    world.run("init", template, cwd=project)
    config = project / ".lima" / "config.yaml"
    text = config.read_text()
    for line in ("cpus: 2\n", 'memory: "2GiB"\n'):
        text = text.replace(line, "")
    config.write_text(text + SMALL)
    shown = world.run("up", cwd=project, timeout=1200).stdout.decode()
    assert f"runs in {template}-dev" in shown
    setting = f"export XDG_RUNTIME_DIR=/run/user/1000 RUN='{run}'\n"
    done = world.run("exec", "--", "bash", "-c", setting + TRY, cwd=project)
    assert done.stdout.decode().splitlines() == ["in a container", "kept"]
    world.run("stop", cwd=project)
    world.run("up", cwd=project, timeout=300)
    world.run("exec", "--", "bash", "-c", setting + "$RUN ps", cwd=project)
    world.run("destroy", "-y", cwd=project)


UPSTREAM = Path(__file__).resolve().parents[1] / "data" / "lima" / "templates"


def test_upstreams_docker_says_what_it_could_not_download(fresh: World) -> None:
    """Lima's template brings Docker from its own site, which this VM's proxy keeps away.

    The proxy is the guest itself, by an address that is not replaced by the host's.
    """
    shutil.copytree(UPSTREAM, fresh.home / "templates")
    (fresh.home / "templates" / "_default" / "mounts.yaml").write_text("")  # it mounts ~
    config = LIGHT + "base: template:docker\nenv: {https_proxy: 'http://0.0.0.0:9'}\n"
    config += "propagateProxyEnv: false\n"  # the caller's own would win
    project = fresh.project("upstream", config)
    said = fresh.run("up", "--yes", cwd=project, check=1, timeout=600).stderr.decode()
    assert "provision[1]" in said
    assert "curl -fsSL https://get.docker.com" in said
    assert "curl: (7) Failed to connect to 0.0.0.0 port 9" in said
    fresh.run("destroy", "-y", cwd=project)
