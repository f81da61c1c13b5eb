"""What ``init`` found in a project works in its VM: packages are there, the port leads in."""

from __future__ import annotations

import urllib.request

import pytest
from tests import budgets
from tests.e2e.test_sysinit import host_port
from tests.e2e.world import LIGHT, World

LISTENS = "for n in {1..100}; do : < /dev/tcp/127.0.0.1/8000 && exit; sleep 0.2; done; exit 1"


@pytest.mark.skipif(not budgets.LONG, reason="installs much: only with --long")
@pytest.mark.timeout(1800)
def test_a_python_project_is_served(world: World) -> None:
    (world.home / "templates").mkdir(exist_ok=True)
    (world.home / "templates" / "light.yaml").write_text(LIGHT)
    project = world.home.parent / "projects" / "served"
    project.mkdir(parents=True)
    (project / "requirements.txt").write_text("django\n")
    world.run("init", "light", "--detect", cwd=project)
    world.run("up", cwd=project, timeout=1200)
    world.run("exec", "--", "pip3", "--version", cwd=project)
    serve = ("exec", "--", "python3", "-m", "http.server", "--bind", "127.0.0.1", "8000")
    server = world.start(*serve, cwd=project)
    try:
        world.run("exec", "--", "bash", "-c", LISTENS, cwd=project)
        port = host_port(world, project, 8000)
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/requirements.txt", timeout=20
        ) as page:
            assert page.read() == b"django\n"
    finally:
        server.terminate()
        server.communicate(timeout=60)
    world.run("destroy", "-y", cwd=project)
