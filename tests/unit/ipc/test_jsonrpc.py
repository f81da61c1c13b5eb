"""Objects become messages; an object that is no message is reported."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.ipc import jsonrpc


def test_a_request_a_notification_and_responses() -> None:
    request = jsonrpc.parse(jsonrpc.request(7, "m", {"a": 1}))
    assert isinstance(request, jsonrpc.Request)
    assert (request.id, request.method, request.params) == (7, "m", {"a": 1})
    bare = jsonrpc.parse(jsonrpc.request("x", "m"))
    assert isinstance(bare, jsonrpc.Request)
    assert (bare.id, bare.params) == ("x", {})
    note = jsonrpc.parse(jsonrpc.notification("event", {"b": 2}))
    assert isinstance(note, jsonrpc.Notification)
    assert (note.method, note.params) == ("event", {"b": 2})
    good = jsonrpc.parse(jsonrpc.result(7, None))
    assert isinstance(good, jsonrpc.Response)
    assert (good.id, good.result, good.error) == (7, None, None)
    bad = jsonrpc.parse(jsonrpc.error(None, {"code": 1, "message": "x"}))
    assert isinstance(bad, jsonrpc.Response)
    assert (bad.id, bad.error) == (None, {"code": 1, "message": "x"})


@pytest.mark.parametrize(
    ("message", "number", "code"),
    [
        ({}, None, -32600),
        ({"id": 1, "method": "m"}, 1, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "m"}, 1, -32600),
        ({"jsonrpc": "2.0", "id": 1}, 1, -32600),
        ({"jsonrpc": "2.0", "id": "a", "method": 5}, "a", -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": ""}, 1, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "m"}, None, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "m"}, None, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "m"}, None, -32600),
        ({"jsonrpc": "2.0", "id": [], "method": "m"}, None, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "result": 1}, 1, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "params": 5}, 1, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "params": None}, 1, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "params": [1]}, 1, -32602),
    ],
)
def test_an_invalid_request_is_answered_with_its_id(
    message: dict[str, Any], number: int | str | None, code: int
) -> None:
    found = jsonrpc.parse(message)
    assert isinstance(found, jsonrpc.Invalid)
    assert (found.id, found.error.rpc_code, found.is_response) == (number, code, False)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "result": 1, "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": 1, "error": "x"},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": "x"}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1}},
        {"id": 1, "result": 1},
    ],
)
def test_an_invalid_response_is_never_answered(message: dict[str, Any]) -> None:
    found = jsonrpc.parse(message)
    assert isinstance(found, jsonrpc.Invalid)
    assert found.is_response


def test_legacy_errors_have_only_the_old_protocols_fields() -> None:
    plain = errors.UnknownMethod("Unknown method: nope", remedy="x", field="y")
    assert jsonrpc.legacy_error(plain) == {"code": -32601, "message": "Unknown method: nope"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "x"])


@given(st.dictionaries(KEYS, JSON | st.just("2.0"), max_size=6))
def test_parse_never_raises(message: dict[str, Any]) -> None:
    jsonrpc.parse(message)
