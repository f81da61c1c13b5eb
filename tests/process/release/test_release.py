"""scripts/release refuses versions that do not agree, and makes the same files twice."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AGENTS = {"gaovm-agent-linux-amd64", "gaovm-agent-linux-arm64"}
YQ = {"gaovm-yq-linux-amd64", "gaovm-yq-linux-arm64", "licenses.txt"}

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout"),
    pytest.mark.timeout(300),
]


class Checkout:
    """A clone of this checkout, as committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(["git", "clone", "-q", "--no-tags", str(ROOT), str(path)], check=True)
        # so that the test uses the script of the working tree
        (path / "scripts" / "release").write_bytes((ROOT / "scripts" / "release").read_bytes())
        (path / "scripts" / "release").chmod(0o755)
        self.commit("Take the script as it is")

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=T", "-c", "user.email=t@localhost")
        subprocess.run(["git", *identity, *words], cwd=self.path, check=True, capture_output=True)

    def commit(self, subject: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)

    def release(self, *options: str) -> subprocess.CompletedProcess[str]:
        programs = str(Path(sys.executable).parent)
        return subprocess.run(
            ["./scripts/release", *options],
            cwd=self.path,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_tag_version_and_changelog_must_agree(checkout: Checkout) -> None:
    done = checkout.release()
    assert (done.returncode, "HEAD has no tag v0.1.0" in done.stderr) == (1, True), done.stderr
    checkout.git("tag", "v0.1.0")
    done = checkout.release()
    assert done.returncode == 1
    assert "the newest heading of CHANGELOG.md is" in done.stderr
    changelog = checkout.path / "CHANGELOG.md"
    text = changelog.read_text()
    changelog.write_text(text.replace("[Unreleased]", "[Unreleased]\n\n## [0.1.0] - 2026-12-01"))
    done = checkout.release()
    assert (done.returncode, "not committed" in done.stderr) == (1, True), done.stderr
    checkout.commit("Release 0.1.0")
    checkout.git("tag", "-f", "v0.1.0")
    done = checkout.release("--warm")
    assert done.returncode == 0, done.stderr
    dist = checkout.path / "dist"
    files = {"gaovm-0.1.0.tar.gz", "gaovm-0.1.0-py3-none-any.whl", *AGENTS}
    assert {path.name for path in dist.iterdir()} == {*files, "SHA256SUMS"}
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    with zipfile.ZipFile(dist / "gaovm-0.1.0-py3-none-any.whl") as wheel:
        carried = {Path(name).name for name in wheel.namelist() if "/images/agent/" in name}
        assert carried == AGENTS
        carried = {Path(name).name for name in wheel.namelist() if "/cli/lima/bin/" in name}
        assert carried == YQ
        for name in AGENTS:
            inside = wheel.read(f"gaovm/images/agent/{name}")
            assert inside == (dist / name).read_bytes()
        for file in (*(ROOT / "lima" / "templates").iterdir(), ROOT / "Taskfile.yml"):
            assert wheel.read(f"gaovm/project/templates/{file.name}") == file.read_bytes()
    with tarfile.open(dist / "gaovm-0.1.0.tar.gz") as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"lima/README.md", "hack/sysinit-vm", "Taskfile.yml"} <= names
    assert {
        "agent/go.mod",
        "yq/go.sum",
        "yq/licenses.txt",
        "hatch_build.py",
        "pyproject.toml",
        "LICENSE",
    } <= names


def test_a_code_base_of_another_version_is_refused(checkout: Checkout) -> None:
    file = checkout.path / "src" / "gaovm" / "version.py"
    file.write_text(file.read_text().replace("0.1.0", "0.1.1"))
    done = checkout.release("--untagged", "--warm")
    assert (done.returncode, "'0.1.1'" in done.stderr) == (1, True), done.stderr
