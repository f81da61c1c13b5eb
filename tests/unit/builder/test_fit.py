from __future__ import annotations

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm import errors
from gaovm.builder import fit
from gaovm.builder.qemu import build

GIB = 1 << 30
HOST = msgspec.structs.replace(
    samples.KVM_HOST, cpus=2, memory_total_bytes=8 * GIB, memory_available_bytes=3 * GIB
)


@pytest.mark.parametrize(
    ("cpus", "gib", "said"),
    [
        (2, 3, []),
        (3, 3, ["cpus: 3 on a host with 2 CPUs: they take turns"]),
        (8, 3, ["cpus: 8 on a host with 2 CPUs: they take turns"]),
        (
            1,
            4,
            [
                "memory: 4.0 GiB is more than the 3.0 GiB that this host has free now: "
                "the host may swap, or end processes"
            ],
        ),
    ],
)
def test_a_vm_that_hardly_fits_gets_warnings(cpus: int, gib: int, said: list[str]) -> None:
    assert fit.check(samples.spec(cpus=cpus, memory_bytes=gib * GIB), HOST) == said


@pytest.mark.parametrize(
    ("cpus", "size", "field", "said"),
    [
        (1, 8 * GIB + 1, "memory", "memory: 8.0 GiB is more than this host has"),
        (9, GIB, "cpus", "cpus: 9 is more than 4 for each of this host's 2 CPUs"),
    ],
)
def test_a_vm_that_exceeds_the_limits_is_refused_and_not_built(
    cpus: int, size: int, field: str, said: str
) -> None:
    spec = samples.spec(cpus=cpus, memory_bytes=size)
    for attempt in (
        lambda: fit.check(spec, HOST),
        lambda: build.build(spec, HOST, samples.FILES),
    ):
        with pytest.raises(errors.ConfigError, match=said) as caught:
            attempt()
        assert (caught.value.field, caught.value.exit_code) == (field, 2)


def test_unknown_host_memory_limits_nothing() -> None:
    host = msgspec.structs.replace(HOST, memory_total_bytes=0, memory_available_bytes=0)
    assert fit.check(samples.spec(memory_bytes=1 << 44), host) == []
