"""What a hostile peer may send: bytes, frames, JSON-RPC and hellos, valid or not."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

Messages = list[dict[str, Any]]

# parameters of the methods of all protocols
_KEYS = """
    name user wait id params changes discard force timeout_s level guest kind ref location digest
    guest_port host_port host_ip project_dir config_path config_text since observed readiness at
    error reason code message phase pid status detail event width height file spec
"""
_TEXT = st.text(st.characters(codec=None, categories=None), max_size=12)
_NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.integers(-3, 3)
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXT
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)


def frame(body: bytes, length: int | None = None) -> bytes:
    """Return a frame with the given length, or the right one."""
    return struct.pack(">I", len(body) if length is None else length) + body


def encode(value: Any) -> bytes:
    """Encode any value as JSON; escape lone surrogates, as a hostile peer may write them."""
    return json.dumps(value).encode()


def request(number: Any, method: Any, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def hello(protocol: str, names: Sequence[str], *, token: str | None = None) -> dict[str, Any]:
    params = {"protocol": protocol, "capabilities": list(names), "requiredCapabilities": []}
    return request(1, "hello", params if token is None else {**params, "authToken": token})


def answer(number: int, protocol: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the answer to the other side's hello."""
    accepted = {"acceptedCapabilities": list(names), "capabilities": list(names)}
    return {"jsonrpc": "2.0", "id": number, "result": {"protocol": protocol, **accepted}}


def changed(message: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return the message with one field or parameter replaced or left out."""

    def replace(path: tuple[str, ...], value: Any, drop: bool) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(message))
        inner = copy
        for key in path[:-1]:
            inner = inner[key]
        if drop:
            inner.pop(path[-1])
        else:
            inner[path[-1]] = value
        return copy

    paths: list[tuple[str, ...]] = [(key,) for key in message]
    for part in ("params", "result"):
        if isinstance(message.get(part), dict):
            paths += [(part, key) for key in message[part]]
    return st.builds(replace, st.sampled_from(paths), JSON, st.booleans())


def calls(
    methods: Iterable[str], plausible: Sequence[Any], right: dict[str, dict[str, Any]]
) -> st.SearchStrategy[Any]:
    """Make requests, notifications and answers, from valid to nonsense."""
    names = st.sampled_from(sorted(methods))
    keys = st.sampled_from(_KEYS.split())
    values = st.sampled_from(list(plausible)) | JSON
    params = st.dictionaries(keys, values, max_size=5)
    ids = st.integers(-5, 50) | _TEXT
    good = st.builds(
        lambda number, method: request(number, method, right.get(method, {})),
        st.integers(2, 1000),
        names,
    )
    strange = st.one_of(
        st.builds(request, ids | JSON, names | JSON, params | JSON),
        st.builds(lambda m, p: {"jsonrpc": "2.0", "method": m, "params": p}, names | JSON, params),
        st.builds(lambda n, r: {"jsonrpc": "2.0", "id": n, "result": r}, ids | JSON, JSON),
        st.builds(lambda n, e: {"jsonrpc": "2.0", "id": n, "error": e}, ids | JSON, JSON),
        st.dictionaries(
            st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]), JSON
        ),
    )
    near = st.builds(request, st.integers(2, 1000), names, params)
    return weighted((4, good), (2, good.flatmap(changed)), (2, near), (2, strange))


def reports(right: dict[str, dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Make notifications with the right parameters, or with some of them changed."""
    good = st.sampled_from(sorted(right)).map(
        lambda method: {"jsonrpc": "2.0", "method": method, "params": right[method]}
    )
    return good | good.flatmap(changed)


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Choose one of the strategies, each as often as its weight says."""
    bag = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(bag) - 1).flatmap(lambda number: bag[number])


def _damage(data: bytes, places: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(data)
    for place, value in places:
        if damaged:
            damaged[place % len(damaged)] = value
    return bytes(damaged)


_PLACES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)
_LENGTHS = st.none() | st.integers(0, 40) | st.sampled_from([2**16, 2**24 + 1, 2**31, 2**32 - 1])

NOISE = st.one_of(
    st.binary(max_size=200),
    st.builds(frame, st.binary(max_size=60), _LENGTHS),
    st.builds(lambda value, length: frame(encode(value), length), JSON, _LENGTHS),
    st.just(frame(b"[" * 50_000)),
    st.just(frame(b'{"a":' * 9_000)),
)


def streams(good: Messages, later: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Make whole byte streams: ``good`` or changed hellos, then ``later``; sometimes damaged."""
    opening = st.tuples(*(st.just(m) | changed(m) for m in good)).map(list)
    rest = st.lists(later, min_size=2, max_size=8)
    spoken = st.builds(_join, st.just(good), rest)
    damaged = st.builds(_damage, spoken, _PLACES)
    noisy = st.builds(lambda a, b, c: a + b + c, spoken, NOISE, spoken)
    return weighted((5, spoken), (1, st.builds(_join, opening, rest)), (1, damaged | noisy | NOISE))


def _join(first: Messages, rest: list[Any]) -> bytes:
    return b"".join(frame(encode(message)) for message in [*first, *rest])


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the stream into pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 5000), max_size=12)
