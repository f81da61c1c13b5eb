"""The CPU's model, nested virtualization and QEMU's oldest version in the project file."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem, with_image

from gaovm.project import overrides
from gaovm.spec.processors import Processors


def test_without_the_fields_the_builder_chooses() -> None:
    assert load(IMAGE).spec.processors == Processors(count=2, model="", nested=False)
    assert load(IMAGE).spec.boot.minimum_version == ""


@pytest.mark.parametrize(
    "text",
    [
        "cpuType: {x86_64: 'Haswell-v4,+avx2,pmu=off', aarch64: cortex-a72}",
        "vmOpts: {qemu: {cpuType: {x86_64: 'Haswell-v4,+avx2,pmu=off'}}}",
        "cpuType: {x86_64: qemu64}\n"
        "vmOpts: {qemu: {cpuType: {x86_64: 'Haswell-v4,+avx2,pmu=off', riscv64: max}}}",
    ],
)
def test_the_model_of_the_vms_architecture_is_read(text: str) -> None:
    loaded = load(with_image(text))
    assert loaded.spec.processors.model == "Haswell-v4,+avx2,pmu=off"
    assert loaded.warnings == ()


def test_an_empty_model_and_other_architectures_mean_nothing() -> None:
    text = "cpuType: {x86_64: '', aarch64: cortex-a72}"
    assert load(with_image(text)).spec.processors.model == ""


@pytest.mark.parametrize(
    "model", ["help", "a b", "a,", ",a", "-x", "a\\n", "a;b", "m/x", "x" * 257]
)
def test_what_is_no_model_is_a_problem(model: str) -> None:
    message = problem(with_image(f'cpuType: {{x86_64: "{model}"}}'))
    assert "cpuType.x86_64: expected a CPU model of QEMU" in message


def test_unknown_architectures_are_a_problem() -> None:
    assert "cpuType.sparc: unknown architecture" in problem(with_image("cpuType: {sparc: max}"))


def test_nested_virtualization_is_read() -> None:
    loaded = load(with_image("nestedVirtualization: true"))
    assert loaded.spec.processors.nested
    assert loaded.warnings == ()
    assert not load(with_image("nestedVirtualization: false")).spec.processors.nested


@pytest.mark.parametrize(
    ("text", "version"), [("8.2.1", "8.2.1"), ("v8.2.0", "8.2.0"), ("8.2.0-rc1", "8.2.0"), ("", "")]
)
def test_the_oldest_version_is_read(text: str, version: str) -> None:
    loaded = load(with_image(f"vmOpts: {{qemu: {{minimumVersion: '{text}'}}}}"))
    assert loaded.spec.boot.minimum_version == version
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", ["8", "8.2", "new", "8.2.1.4", "8.2.x"])
def test_what_is_no_version_is_a_problem(text: str) -> None:
    message = problem(with_image(f"vmOpts: {{qemu: {{minimumVersion: '{text}'}}}}"))
    assert "vmOpts.qemu.minimumVersion: expected a version such as 8.2.1" in message


def test_set_keeps_the_files_model() -> None:
    base = load(with_image("cpuType: {x86_64: max}")).spec
    changed = overrides.apply(base, {"cpus": 3}).processors
    assert changed == Processors(count=3, model="max")
