"""How often a guest may reset itself before the agent answers."""

from __future__ import annotations

import asyncio

import pytest

from gaovm.driver import boot


@pytest.mark.parametrize(("own_loader", "forbidden"), [(False, 1), (True, 0)])
async def test_only_our_kernel_may_not_reset_twice(
    monkeypatch: pytest.MonkeyPatch, own_loader: bool, forbidden: int
) -> None:
    """A boot loader such as shim resets the machine after it has made its boot entries."""
    monkeypatch.setattr(boot, "FIRMWARE_S", 0.0)
    calls: list[str] = []
    limits = boot.Boot(calls.append, lambda: calls.append("forbidden"), own_loader=own_loader)
    limits.begin_again("tcg")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    limits.end()
    assert calls == ["forbidden"] * forbidden


async def test_a_boot_by_its_own_loader_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAOVM_BOOT_TIMEOUT_S", raising=False)
    monkeypatch.setattr(boot, "LIMITS_S", {"tcg": 0.0})
    monkeypatch.setattr(boot, "OWN_LOADER_LIMITS_S", {"tcg": 3600.0})
    failed: list[str] = []
    for own_loader in (True, False):
        limits = boot.Boot(failed.append, lambda: None, own_loader=own_loader)
        limits.begin("tcg")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        limits.end()
    assert failed == ["the guest's agent did not answer within 0 s"]
