"""The only place that knows QEMU's option syntax.

``-device``, ``-blockdev``, ``-netdev`` and ``-object`` take JSON and need no escaping. The others
(``-machine -accel -cpu -smp -chardev -mon -fsdev -name -sandbox``) do not: there a comma separates,
and a comma inside a value is doubled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

Scalar = str | int | bool
Json = Scalar | None | list["Json"] | dict[str, "Json"]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")


def joined(first: str, pairs: Mapping[str, Scalar]) -> str:
    """``first,key=value,…``; an empty ``first`` is left out. Values may hold anything but NUL.

    Raises:
        ValueError: a key is not a plain word, or a value holds NUL: a defect of the caller.
    """
    parts = [_text(first)] if first else []
    for key, value in pairs.items():
        if not _KEY.match(key) or "\0" in str(value):
            raise ValueError(f"bad option {key!r}")
        parts.append(f"{key}={_text(value)}")
    return ",".join(parts)


def as_json(value: Mapping[str, Json]) -> str:
    """One line of JSON, in the order given. Line breaks inside strings are escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def descriptor(name: str) -> str:
    """The placeholder of a descriptor that exists only at run time."""
    return f"<fd:{name}>"
