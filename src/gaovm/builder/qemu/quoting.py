"""The only place that knows QEMU's option syntax.

``-device``, ``-blockdev``, ``-netdev`` and ``-object`` accept JSON and need no escaping. The others
(``-machine -accel -cpu -smp -chardev -mon -fsdev -name -sandbox``) do not accept JSON: commas
separate their parts, and a comma inside a value must be doubled.
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
    """Return ``first,key=value,…`` without an empty ``first``. Values may hold anything but NUL.

    Raises:
        ValueError: a key is not a plain word, or a value holds NUL; the caller has a defect.
    """
    parts = [_text(first)] if first else []
    for key, value in pairs.items():
        if not _KEY.match(key) or "\0" in str(value):
            raise ValueError(f"bad option {key!r}")
        parts.append(f"{key}={_text(value)}")
    return ",".join(parts)


def as_json(value: Mapping[str, Json]) -> str:
    """Return one line of JSON, keys in the given order. Line breaks in strings are escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def descriptor(name: str) -> str:
    """Return the placeholder of a descriptor that exists only at run time."""
    return f"<fd:{name}>"
