"""A zygote whose QEMU is the fake, and directories with short paths."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver import harness


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gd", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def zygote(base: Path, request: pytest.FixtureRequest) -> AsyncIterator[harness.Zygote]:
    """Parametrised indirectly with the options of ``fake_qemu`` and, in ``env``, variables."""
    options: dict[str, Any] = dict(getattr(request, "param", {}))
    env = options.pop("env", {})
    path = harness.fake_qemu_path(base / "bin")
    async with harness.Zygote(PATH=path, GAOVM_FAKE_QEMU=json.dumps(options), **env) as started:
        yield started


@pytest.fixture
def spec() -> Callable[..., dict[str, Any]]:
    """A spec with parts of the guest replaced."""

    def make(**guest: Any) -> dict[str, Any]:
        return {"guest": guest}

    return make
