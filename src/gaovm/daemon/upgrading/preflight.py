"""Ask new code whether it can take over a running daemon, before anything changes.

The running daemon starts ``gaovmd --check-upgrade`` from the code that is installed now, writes a
``Question`` to its standard input and reads an ``Answer``. An answer proves that the code can be
imported. Nothing outside the child changes.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import msgspec

from gaovm import errors, version
from gaovm.daemon import handover
from gaovm.daemon.storage import rows, schema
from gaovm.ipc import methods
from gaovm.wire.driver import table

FLAG = "--check-upgrade"


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """What a running driver speaks and serves."""

    vm: str
    protocol: str
    serves: tuple[str, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon would hand over. ``clients``: the protocols in use on connections."""

    format: int
    version: str
    database: str
    drivers: tuple[Driver, ...]
    clients: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``problems``: one sentence for each part that does not fit; empty: it can take over."""

    version: str
    problems: tuple[str, ...]


def check(question: Question) -> Answer:
    """Answer with what this code thinks of the hand-over."""
    problems = [*_format(question), *_drivers(question), *_clients(question), *_database(question)]
    return Answer(version=version.VERSION, problems=tuple(problems))


def _format(question: Question) -> list[str]:
    if question.format == handover.FORMAT:
        return []
    text = f"the running daemon hands over in format {question.format}, not {handover.FORMAT}"
    return [f"{text}: stop the daemon, then start it"]


def _drivers(question: Question) -> list[str]:
    problems = []
    for driver in question.drivers:
        if driver.protocol != methods.DRIVER:
            text = f"the driver of VM {driver.vm} speaks {driver.protocol}, not {methods.DRIVER}"
            problems.append(text)
            continue
        missing = [name for name in table.CORE if name not in driver.serves]
        if missing:
            text = f"the driver of VM {driver.vm} does not serve {', '.join(missing)}"
            problems.append(f"{text}: stop the VM first")
    return problems


def _clients(question: Question) -> list[str]:
    unknown = sorted(set(question.clients) - {methods.CONTROL, methods.LEGACY})
    return [f"a client speaks {protocol}, which is not served any more" for protocol in unknown]


def _database(question: Question) -> list[str]:
    """Try to bring a copy of the database to this code's revision and to read it."""
    path = Path(question.database)
    try:
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        copy = sqlite3.connect(":memory:", isolation_level=None)
        try:
            source.backup(copy)
            schema.migrate(copy, path)
            for row in copy.execute(f"SELECT {rows.COLUMNS} FROM vms").fetchall():
                rows.decode(row)
        finally:
            source.close()
            copy.close()
    except errors.GaoError as exc:
        return [exc.message]
    except sqlite3.DatabaseError as exc:
        return [f"{path} cannot be read: {exc}"]
    return []


def run() -> int:
    """Run the child: read the question, write the answer.

    ``main``, which calls this, has imported all that a takeover needs: where the daemon would fail,
    the child has failed already.
    """
    try:
        question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    except msgspec.MsgspecError as exc:
        sys.stderr.write(f"gaovmd: the question cannot be read: {exc}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(check(question)) + b"\n")
    return 0
