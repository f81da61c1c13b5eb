"""Turn a record into a row of the table ``vms``, and back."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.model import states, supervision
from gaovm.spec import vm
from gaovm.spec.ports import PortForward

COLUMNS = (
    "name, project, config_path, run_id, spec, spec_digest, desired, observed, readiness, first_up,"
    " created_at, started_at, boot_id, image, facts, last_error, added_ports, disk_used, deleting,"
    " base, overrides, pending, restarts, approved, directory, is_default, protected"
)
_MARKS = ", ".join("?" * len(COLUMNS.split(", ")))
PUT = f"INSERT OR REPLACE INTO vms ({COLUMNS}) VALUES ({_MARKS})"


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def encode(record: records.VmRecord) -> tuple[Any, ...]:
    """Return the values of ``COLUMNS``."""
    state = record.state
    return (
        record.name,
        record.project,
        record.config_path,
        record.run_id,
        _json(record.spec),
        records.spec_digest(record.spec),
        str(state.desired),
        str(state.observed),
        None if state.readiness is None else str(state.readiness),
        str(state.first_up),
        record.created_at,
        record.started_at,
        record.boot_id,
        _json(record.image),
        _json(record.facts),
        _json(record.last_error),
        _json(record.added_ports),
        int(record.disk_used),
        int(record.deleting),
        _json(record.base),
        _json(record.overrides),
        _json(record.pending),
        _json(record.restarts),
        _json(record.approved),
        _json(record.directory),
        None if record.is_default is None else int(record.is_default),
        int(record.protected),
    )


def decode(row: tuple[Any, ...]) -> records.VmRecord:
    """Return the record in a row of ``COLUMNS``.

    Raises:
        errors.StateCorrupt: a field has a wrong value.
    """
    fields = dict(zip(COLUMNS.split(", "), row, strict=True))
    try:
        return records.VmRecord(
            name=fields["name"],
            project=fields["project"],
            config_path=fields["config_path"],
            run_id=fields["run_id"],
            spec=msgspec.json.decode(fields["spec"], type=vm.VmSpec),
            created_at=fields["created_at"],
            state=msgspec.convert(
                {k: fields[k] for k in ("desired", "observed", "readiness", "first_up")},
                states.VmState,
            ),
            started_at=fields["started_at"],
            boot_id=fields["boot_id"],
            image=_decoded(fields["image"], records.ImageRef),
            facts=_facts(fields["facts"]),
            last_error=_decoded(fields["last_error"], records.Failure),
            added_ports=_decoded(fields["added_ports"], tuple[PortForward, ...]) or (),
            disk_used=bool(fields["disk_used"]),
            deleting=bool(fields["deleting"]),
            base=_decoded(fields["base"], vm.VmSpec),
            overrides=_decoded(fields["overrides"], dict[str, Any]),
            pending=_decoded(fields["pending"], vm.VmSpec),
            restarts=_decoded(fields["restarts"], supervision.History),
            approved=_decoded(fields["approved"], records.Approval),
            directory=_decoded(fields["directory"], records.Directory),
            is_default=None if fields["is_default"] is None else bool(fields["is_default"]),
            protected=bool(fields["protected"]),
        )
    except msgspec.MsgspecError as exc:
        raise errors.StateCorrupt(f"state.db: the row of VM {fields['name']!r}: {exc}") from exc


def _facts(text: str | None) -> records.Facts:
    """Return the stored facts that can still be read; the next start reports all of them again."""
    known = _decoded(text, dict[str, Any]) or {}
    found = {}
    for field in msgspec.structs.fields(records.Facts):
        with contextlib.suppress(msgspec.ValidationError):
            if field.name in known:
                found[field.name] = msgspec.convert(known[field.name], field.type)
    return records.Facts(**found)


def _decoded(text: str | None, kind: Any) -> Any:
    return None if text is None else msgspec.json.decode(text, type=kind)
