"""``vmOpts.gaovm``: restarts, stops, time limits, hangs, autostart -> ``spec.supervision``."""

from __future__ import annotations

from typing import cast, get_args

from gaovm.project import durations, fields, nodes
from gaovm.project.context import Context
from gaovm.spec import supervision
from gaovm.spec.boot import Boot
from gaovm.spec.supervision import Restart, SetUp, Stop, Supervision, Watchdog

_DAY_S = 86_400.0
_HOUR_S = 3600.0
_LEAST_TIMEOUT_S = 5


def read(root: nodes.Table, boot: Boot, context: Context) -> Supervision:
    """Read the supervisor's orders for the VM; each part that is not set keeps its default."""
    own = fields.table(fields.table(root, "vmOpts"), "gaovm")
    return Supervision(
        restart=_restart(fields.table(own, "restart"), context),
        stop=_stop(fields.table(own, "stop"), context),
        set_up=_set_up(fields.table(own, "setUp"), context),
        watchdog=_watchdog(fields.table(own, "watchdog"), boot, context),
        autostart=fields.boolean(own, "autostart") or False,
    )


def _restart(table: nodes.Table, context: Context) -> Restart:
    default = Restart()
    policy = fields.word(table, "policy", get_args(supervision.RestartWhen), context.found)
    attempts = fields.bounded(table, "maxAttempts", (1, 1000), context.found)
    return Restart(
        policy=cast("supervision.RestartWhen", policy or default.policy),
        max_attempts=default.max_attempts if attempts is None else attempts,
        max_delay_s=_seconds(table, "maxDelay", default.max_delay_s, _DAY_S, context),
        stable_s=_seconds(table, "stableAfter", default.stable_s, _DAY_S, context),
    )


def _stop(table: nodes.Table, context: Context) -> Stop:
    default = Stop()
    return Stop(
        grace_s=_seconds(table, "grace", default.grace_s, _HOUR_S, context),
        force_s=_seconds(table, "force", default.force_s, _HOUR_S, context),
    )


def _set_up(table: nodes.Table, context: Context) -> SetUp:
    default = SetUp()
    probe = fields.scalar(table, "probe")
    return SetUp(
        boot_s=_seconds(table, "boot", default.boot_s, _DAY_S, context),
        script_s=_seconds(table, "script", default.script_s, _DAY_S, context),
        probe_s=None
        if probe is None or probe.text == ""
        else _seconds(table, "probe", 0.0, _DAY_S, context),
    )


def _watchdog(table: nodes.Table, boot: Boot, context: Context) -> Watchdog:
    default, found = Watchdog(), context.found
    device = fields.scalar(table, "device")
    wanted = device is not None and device.boolean is True
    if device is not None and wanted and boot.machine == "microvm":
        what = "machine microvm has no watchdog device; the heartbeat works on it"
        found.problem(device, what, remedy="write device: false, or machine: q35")
    timeout = fields.scalar(table, "timeout")
    seconds = _seconds(table, "timeout", float(default.timeout_s), _HOUR_S, context)
    if timeout is not None and (seconds < _LEAST_TIMEOUT_S or seconds != int(seconds)):
        found.problem(
            timeout,
            f"expected whole seconds, 5 or more; found {nodes.describe(timeout)}",
            remedy="write 30s",
        )
        seconds = default.timeout_s
    heartbeat = fields.boolean(table, "heartbeat")
    on_hang = fields.word(table, "onHang", get_args(supervision.OnHang), found)
    return Watchdog(
        device=wanted,
        timeout_s=int(seconds),
        heartbeat=default.heartbeat if heartbeat is None else heartbeat,
        on_hang=cast("supervision.OnHang", on_hang or default.on_hang),
    )


def _seconds(table: nodes.Table, key: str, default: float, most: float, context: Context) -> float:
    node = fields.scalar(table, key)
    if node is None or node.text == "":
        return default
    try:
        seconds = durations.parse(node.text)
    except ValueError as exc:
        context.found.problem(node, str(exc), remedy="write a time such as 30s or 2m")
        return default
    if seconds > most:
        limit = durations.show(most)
        what = f"expected at most {limit}, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy=f"write a time of at most {limit}")
        return default
    return seconds
