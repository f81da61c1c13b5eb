"""``scripts/setup`` installs the packages of the one table of Debian packages."""

from __future__ import annotations

import re
from pathlib import Path

from gaovm.builder import packages

ROOT = Path(__file__).resolve().parents[2]


def listed(name: str) -> list[str]:
    """Return the packages in an array of ``scripts/setup``."""
    text = (ROOT / "scripts" / "setup").read_text()
    found = re.search(rf"^{name}=\(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return [line.split()[0] for line in found[1].splitlines()]


def test_setup_installs_what_the_table_says() -> None:
    programs = ["qemu-system-x86_64", "qemu-img", "passt", *packages.IMAGE_BUILD_WITHOUT_ROOT]
    programs.append("UEFI for x86_64")
    needed = {*packages.of(programs), *packages.of(["mmdebstrap", "mke2fs"])}
    assert needed <= set(listed("PACKAGES"))
    assert set(packages.WINDOW) | {"xvfb"} == set(listed("DESKTOP_PACKAGES"))


def test_only_the_table_names_packages() -> None:
    table = ROOT / "src" / "gaovm" / "builder" / "packages.py"
    for path in (ROOT / "src" / "gaovm").rglob("*.py"):
        named = re.findall(r"apt-get install (?!\{)[\w-]+", path.read_text())
        ours = [words for words in named if "debian-archive-keyring" not in words]
        assert path == table or "cli" in path.parts or ours == [], path
