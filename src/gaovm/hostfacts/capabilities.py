"""Which features of which back end work on this machine, and why the others do not."""

from __future__ import annotations

import importlib.util

from gaovm.builder import backends, packages
from gaovm.model import capabilities
from gaovm.model.facts import HostFacts
from gaovm.spec.base import Frozen


class Feature(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feature. ``offered``: the back end has it; ``here``: it works on this machine."""

    name: str
    meaning: str
    offered: bool
    here: bool
    note: str
    methods: tuple[str, ...]


class Backend(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A back end. If it is not ``present``, it has no features."""

    name: str
    about: str
    present: bool
    features: tuple[Feature, ...] = ()


def table(host: HostFacts, *, window: bool) -> tuple[Backend, ...]:
    """List every back end. ``window``: whether this installation can open a display window."""
    found = []
    for backend in backends.BACKENDS:
        lacking = _lacking(backend, host, window=window)
        features = [
            _feature(backend, feature, lacking)
            for feature in capabilities.FEATURES
            if backend.present
        ]
        found.append(
            Backend(
                name=backend.name,
                about=backend.about,
                present=backend.present,
                features=tuple(features),
            )
        )
    return tuple(found)


def has_window() -> bool:
    """Whether everything that a display window needs is installed."""
    return importlib.util.find_spec("PySide6") is not None


def _feature(
    backend: backends.Backend,
    feature: capabilities.Feature,
    lacking: dict[str, tuple[bool, str]],
) -> Feature:
    offered = feature.name in backend.offers
    here, note = lacking.get(feature.name, lacking[""])
    if not offered:
        here, note = False, backend.limits.get(feature.name, "")
    return Feature(
        name=feature.name,
        meaning=feature.meaning,
        offered=offered,
        here=here,
        note=note,
        methods=feature.methods,
    )


def _lacking(
    backend: backends.Backend, host: HostFacts, *, window: bool
) -> dict[str, tuple[bool, str]]:
    """For each feature that depends on the machine: whether it works, and why; "": all others."""
    found: dict[str, tuple[bool, str]] = {}
    for arch, program in backend.hypervisors.items():
        path = host.programs.get(program)
        found[arch] = (path is not None, path or packages.remedy(program))
    found["run"] = found.get(host.arch, (False, "")) if backend.hypervisors else (True, "")
    run = (True, "") if found["run"][0] else found["run"]
    found["tcg"] = found[""] = run
    for name in ("kvm", "hvf"):
        fact = next((fact for fact in host.accelerators if fact.name == name), None)
        system = "Linux" if name == "kvm" else "macOS"
        found[name] = (fact.usable, fact.reason) if fact else (False, f"only on {system}")
    if host.virtiofsd is None:
        found["virtiofs"] = (False, host.virtiofsd_missing)
    else:
        found["virtiofs"] = (
            host.virtiofsd.usable,
            f"{host.virtiofsd.path}: {host.virtiofsd.reason}",
        )
    if run[0] and not window:
        found["display"] = (False, "the window needs PySide6: pip install 'gaovm[desktop]'")
    return found
