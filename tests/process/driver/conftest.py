"""A zygote whose hypervisor is a fake, and directories with short paths."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver import harness

GUARD = Path(__file__).with_name("guard")


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gd", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def backend() -> str:
    """Name the back end; ``backends.EVERY_BACKEND`` marks tests that hold for every one."""
    return "qemu"


@pytest.fixture
async def zygote(
    base: Path, backend: str, request: pytest.FixtureRequest
) -> AsyncIterator[harness.Zygote]:
    """Parametrised indirectly: options of the fake and, in ``env``, environment variables."""
    options: dict[str, Any] = dict(getattr(request, "param", {}))
    env = options.pop("env", {})
    path = harness.fake_qemu_path(base / "bin")
    imports = base / "imports"
    env = {"PYTHONPATH": str(GUARD), "GAOVM_TEST_IMPORTS": str(imports), **env}
    env["GAOVM_FAKE_QEMU"] = json.dumps(options)
    async with harness.Zygote(backend, PATH=path, **env) as started:
        yield started
    # a running driver must load nothing of a newer installation: import it in the warm-up
    assert not imports.exists(), f"imported after the fork:\n{imports.read_text()}"


@pytest.fixture
def spec() -> Callable[..., dict[str, Any]]:
    """Return a spec with some parts of the guest replaced."""

    def make(**guest: Any) -> dict[str, Any]:
        return {"guest": guest}

    return make
