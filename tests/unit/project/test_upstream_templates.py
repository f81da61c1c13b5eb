"""Lima's own templates load as Lima loads them; what GaoVM cannot run is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.project.reading import CALLER

from gaovm import errors
from gaovm.project import config, context
from gaovm.project.lima import embedding
from gaovm.project.problems import Findings

TEMPLATES = Path(__file__).resolve().parents[2] / "data" / "lima" / "templates"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.yaml"))
#: Lima cannot load it either: its base has an unknown scheme, by a slip.
BROKEN = "experimental/fedora-rawhide.yaml"
#: A base of other templates, without images of its own.
NO_IMAGES = "_default/mounts.yaml"
OTHER_SYSTEMS = ("freebsd", "macos", "windows")


class Upstream:
    """A resolver over Lima's template directory."""

    def file(self, path: str) -> bytes:
        raise embedding.Unavailable("no files here", "none")

    def template(self, name: str) -> bytes:
        try:
            return (TEMPLATES / name).read_bytes()
        except OSError as exc:
            raise embedding.Unavailable(str(exc), "none") from exc

    def config(self, name: str) -> bytes | None:
        return None

    def complete(self) -> bool:
        return True


def path_of(name: str) -> str:
    return f"template:{name}"


@pytest.mark.parametrize("name", NAMES)
def test_lima_s_checks_pass(name: str) -> None:
    found = Findings(name)
    text = (TEMPLATES / name).read_text()
    config.tree(text, name, "/home/ann", "template:", Upstream(), found)
    problems = [(each.path, each.message) for each in found.problems]
    if name == BROKEN:
        assert (
            "base[0]",
            "cannot embed `fedora-rawhide:_images/fedora-rawhide`: unknown scheme "
            "`fedora-rawhide:`",
        ) in problems
    elif name == NO_IMAGES:
        assert problems == [("images", "must be set")]
    else:
        assert problems == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (BROKEN, NO_IMAGES)])
def test_a_template_of_linux_gives_a_spec(name: str) -> None:
    host = context.Host("x86_64", "/g/vms/p-dev")
    text = (TEMPLATES / name).read_text()
    try:
        loaded = config.load(text, name, CALLER, "/home/ann/p", "p-dev", host, resolver=Upstream())
    except errors.ConfigError as exc:
        refused = {each["path"] for each in exc.details["problems"]}
        assert name.rpartition("/")[2].startswith(OTHER_SYSTEMS)
        assert "os" in refused
    else:
        assert not name.rpartition("/")[2].startswith(OTHER_SYSTEMS)
        assert loaded.spec.image.location
        assert all(": " in warning for warning in loaded.warnings)
