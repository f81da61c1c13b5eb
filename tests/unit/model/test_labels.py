"""The one word and the one line that people see for a VM's state."""

from __future__ import annotations

import msgspec
import pytest

from gaovm.model import facts, labels
from gaovm.model.states import FirstUp, Observed, Readiness, VmState

BOOTING = VmState(observed=Observed.RUNNING, readiness=Readiness.BOOTING)
UP = VmState(observed=Observed.RUNNING, readiness=Readiness.READY, first_up=FirstUp.DONE)


def test_an_interrupted_up_shows_that_it_continues() -> None:
    word, line = labels.describe(BOOTING, interrupted=True)
    assert word == "interrupted"
    assert line.startswith("its `up` was interrupted and continues: the guest is booting")
    assert labels.describe(UP, interrupted=True) == ("running", "ready")


def test_a_note_says_what_happens_now() -> None:
    assert labels.describe(BOOTING, note="formatting") == ("running", "formatting")


def test_a_degraded_vm_shows_why() -> None:
    state = msgspec.structs.replace(UP, readiness=Readiness.DEGRADED)
    assert labels.describe(state) == ("degraded", "something failed, but the VM still runs")
    assert labels.describe(state, error="no network\nmore") == ("degraded", "no network")


def test_a_stopped_vm_whose_first_up_did_not_finish() -> None:
    word, line = labels.describe(VmState())
    assert (word, "its first `up` did not finish" in line) == ("stopped", True)
    done = VmState(first_up=FirstUp.DONE)
    assert labels.describe(done) == ("stopped", "")


@pytest.mark.parametrize(
    ("error", "note", "line"),
    [
        (None, None, "the VM ended unexpectedly and is started again"),
        ("QEMU died", None, "the VM ended unexpectedly and is started again: QEMU died"),
        ("QEMU died", "in 4 s", "in 4 s"),
    ],
)
def test_a_vm_that_waits_for_its_restart(error: str | None, note: str | None, line: str) -> None:
    state = VmState(observed=Observed.BACKOFF, first_up=FirstUp.DONE)
    assert labels.describe(state, error=error, note=note) == ("restarting", line)


def test_host_facts_cross_the_wire_unchanged() -> None:
    known = facts.HostFacts(
        arch="x86_64",
        accelerators=(facts.AcceleratorFact(name="kvm", usable=False, reason="no /dev/kvm"),),
        programs={"qemu-system-x86_64": "/usr/bin/qemu-system-x86_64"},
        virtiofsd=facts.VirtiofsdFact(path="/v", flavour="c", usable=True, reason="as root"),
        passt=facts.PasstFact(path="/p", usable=True, reason="it runs"),
    )
    assert msgspec.json.decode(msgspec.json.encode(known), type=facts.HostFacts) == known
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"arch":"x86_64","colour":"blue"}', type=facts.HostFacts)
