"""Each sample builds its stored command line; ``--regenerate`` rewrites the stored files."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm.builder.qemu import build

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(samples.CASES))
def test_document(name: str, regenerate: bool) -> None:
    spec, host, artefacts = samples.CASES[name]
    document = build.build(spec, host, artefacts)
    text = json.dumps(msgspec.to_builtins(document), indent=1, ensure_ascii=False) + "\n"
    path = HERE / f"qemu-{name}.json"
    if regenerate:
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: run pytest --regenerate, then read the diff"
    assert text == path.read_text()


def test_every_stored_file_has_a_sample() -> None:
    stored = {path.stem.removeprefix("qemu-") for path in HERE.glob("qemu-*.json")}
    assert stored == set(samples.CASES)
