"""The types of events: ``noun.what_happened``, with a dot between nouns, in snake case.

``docs/supervision.md`` and ``docs/reference/control-protocol.md`` say what each event carries.
Filters still accept the old name of a renamed type.
"""

from __future__ import annotations

TYPES = (
    "daemon.started",
    "daemon.upgraded",
    "display.closed",
    "display.opened",
    "drift.mended",
    "driver.exited",
    "driver.permanent_failure",
    "driver.restart_scheduled",
    "driver.start_failed",
    "driver.started",
    "driver.stopped",
    "events.suppressed",
    "guest.panicked",
    "guest.responsive",
    "guest.unresponsive",
    "guest.watchdog",
    "hypervisor.exited",
    "network.back",
    "network.lost",
    "port.closed",
    "port.failed",
    "port.opened",
    "shares.unwatched",
    "state.recovered",
    "state.row_quarantined",
    "vm.config.applied",
    "vm.config.discarded",
    "vm.config.quarantined",
    "vm.config.staged",
    "vm.config.updated",
    "vm.created",
    "vm.paused",
    "vm.removed",
    "vm.resumed",
    "vm.state",
)

#: Old name -> present name of renamed types and groups.
RENAMED = {
    "config": "vm.config",
    "config.pending_applied": "vm.config.applied",
    "config.pending_discarded": "vm.config.discarded",
    "config.quarantined": "vm.config.quarantined",
    "config.updated": "vm.config.updated",
    "event.pending_config_replaced": "vm.config.staged",
    "event.pending_config_written": "vm.config.staged",
}

#: The first nouns of event types: what an event is about.
GROUPS = tuple(sorted({kind.rpartition(".")[0] for kind in TYPES}))


def is_known(wanted: str) -> bool:
    """Return whether a filter may use this: a type, a group, or a newer daemon's type."""
    wanted = RENAMED.get(wanted, wanted)
    return wanted in GROUPS or any(wanted.startswith(f"{group}.") for group in GROUPS)


def matches(kind: str, wanted: str) -> bool:
    """Return whether type ``kind`` is, or is in, ``wanted``; both may be old names."""
    kind, wanted = RENAMED.get(kind, kind), RENAMED.get(wanted, wanted)
    return kind == wanted or kind.startswith(f"{wanted}.")
