"""Keys name a place on the keyboard in any layout, although X servers number keys differently."""

from __future__ import annotations

import pytest

from gaovm.display import keys


@pytest.mark.parametrize(
    ("symbol", "scan", "place"),
    [
        (ord("a"), 38, 0x1E),
        (ord("A"), 38, 0x1E),
        (ord("q"), 38, 0x1E),  # a French layout: the same key
        (0x06C6, 38, 0x1E),  # a Russian one
        (ord("<"), 94, 0x56),
        (0xFF0D, 36, 0x1C),
        (0xFF52, 111, 0xC8),  # Up, as Linux numbers it
        (0xFF52, 98, 0xC8),  # Up, as Xvfb numbers it
        (0xFFE2, 62, 0x36),
        (0xFE03, 108, 0xB8),  # AltGr
        (0xFFBE, 67, 0x3B),  # F1
        (0xFFC9, 96, 0x58),  # F12
        (0xFFB5, 84, 0x4C),  # keypad 5
        (0xFFAF, 106, 0xB5),
        (0x1008FF11, 122, 0),  # a key of the host's desktop: only its symbol counts
        (0, 0, 0),
    ],
)
def test_place_of_a_key(symbol: int, scan: int, place: int) -> None:
    assert keys.place_of(symbol, scan) == place


def test_qemu_accepts_every_place() -> None:
    for table in (keys._PLACES_OF_LINUX, keys._PLACES_OF_SYMBOLS):
        assert all(0 < place <= 0xFF for place in table.values())


@pytest.mark.parametrize(
    ("qt_key", "text", "symbol"),
    [
        (0x41, "a", ord("a")),
        (0x41, "A", ord("A")),
        (0x43, "\x03", ord("c")),  # Ctrl+C: the text is a control character
        (0xE4, "ä", 0xE4),
        (0x20AC, "€", 0x010020AC),
        (0x01000013, "", 0xFF52),
        (0x01000030, "", 0xFFBE),
        (0x0100003B, "", 0xFFC9),
        (0x01000099, "", 0),
    ],
)
def test_symbol_if_the_window_system_names_none(qt_key: int, text: str, symbol: int) -> None:
    assert keys.symbol_of(qt_key, text) == symbol
