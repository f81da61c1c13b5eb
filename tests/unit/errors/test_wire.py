"""Errors keep their class across the wire; garbage from a peer becomes an error too."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gaovm import errors


def classes() -> list[type[errors.GaoError]]:
    return [
        c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.GaoError)
    ]


def test_wire_round_trip_keeps_the_class() -> None:
    for cls in classes():
        error = cls("text", field="a.b", remedy="do", details={"k": 1})
        back = errors.from_wire(errors.to_wire(error))
        assert type(back) is cls
        assert (back.message, back.field, back.remedy, back.details) == (
            "text",
            "a.b",
            "do",
            {"k": 1},
        )


def test_garbage_from_a_peer_is_still_an_error() -> None:
    assert isinstance(errors.from_wire({}), errors.InternalError)
    wire = {"code": -32601, "message": 7, "data": [1]}
    assert isinstance(errors.from_wire(wire), errors.UnknownMethod)


def test_empty_fields_are_not_sent() -> None:
    error = errors.PortTaken("port 80 is taken")
    assert str(error) == "port 80 is taken"
    assert errors.to_wire(error) == {
        "code": errors.PortTaken.rpc_code,
        "message": "port 80 is taken",
        "data": {"code": "port_taken", "retriable": False},
    }


def test_an_error_copies_its_details() -> None:
    details = {"port": 80}
    error = errors.PortTaken("taken", details=details)
    details["port"] = 81
    assert error.details == {"port": 80}


@pytest.mark.parametrize(
    ("wire", "wanted"),
    [
        ({"code": -32601, "data": {"code": "of a later version"}}, errors.UnknownMethod),
        ({"code": -1}, errors.InternalError),
        ({"code": "-32601"}, errors.InternalError),
        ({"code": None, "data": {"code": "disk_full", "details": []}}, errors.DiskFull),
        ({"data": {"code": 7, "field": 7, "remedy": {}}}, errors.InternalError),
    ],
)
def test_the_number_decides_if_the_code_is_unknown(
    wire: Any, wanted: type[errors.GaoError]
) -> None:
    error = errors.from_wire(wire)
    assert type(error) is wanted
    assert (error.message, error.field, error.remedy, error.details) == (
        *("unknown error", None, None),
        {},
    )
