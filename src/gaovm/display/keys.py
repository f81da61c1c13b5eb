"""Keyboards: translate a key of the host's window system into a key of RFB.

The guest gets the *place* of the key, so that its own layout decides what the key means, and the
symbol that the host's layout has there, for servers that know no places. Places are XT set 1 codes,
with 0x80 for the half that a keyboard prefixes with E0. These are pure tables without Qt.
"""

from __future__ import annotations

#: X and Wayland use Linux' numbers of keys plus 8.
X_OFFSET = 8

# Linux' number -> place. Up to 83 (keypad dot) the two are the same.
_PLACES_OF_LINUX = {
    **{number: number for number in range(1, 84)},
    86: 0x56,  # the key between Shift and Z
    87: 0x57,  # F11
    88: 0x58,  # F12
    89: 0x73,  # Ro
    92: 0x79,  # Henkan
    93: 0x70,  # Katakana/Hiragana
    94: 0x7B,  # Muhenkan
    124: 0x7D,  # Yen
    121: 0x7E,  # keypad comma
    117: 0x59,  # keypad equals
}

# X symbol -> place, for keys that have the same symbol in every layout. The symbol decides because
# X servers without a desktop (Xvfb, VNC) number these keys in other ways.
_PLACES_OF_SYMBOLS = {
    0xFF08: 0x0E,  # BackSpace
    0xFF09: 0x0F,  # Tab
    0xFE20: 0x0F,  # ISO_Left_Tab: Tab with Shift
    0xFF0D: 0x1C,  # Return
    0xFF13: 0xC6,  # Pause
    0xFF14: 0x46,  # Scroll_Lock
    0xFF15: 0x54,  # Sys_Req
    0xFF1B: 0x01,  # Escape
    0xFF50: 0xC7,  # Home
    0xFF51: 0xCB,  # Left
    0xFF52: 0xC8,  # Up
    0xFF53: 0xCD,  # Right
    0xFF54: 0xD0,  # Down
    0xFF55: 0xC9,  # Page up
    0xFF56: 0xD1,  # Page down
    0xFF57: 0xCF,  # End
    0xFF61: 0xB7,  # Print
    0xFF63: 0xD2,  # Insert
    0xFF67: 0xDD,  # Menu
    0xFF7E: 0xB8,  # Mode_switch
    0xFF7F: 0x45,  # Num_Lock
    0xFF8D: 0x9C,  # KP_Enter
    0xFF95: 0x47,  # KP_Home
    0xFF96: 0x4B,  # KP_Left
    0xFF97: 0x48,  # KP_Up
    0xFF98: 0x4D,  # KP_Right
    0xFF99: 0x50,  # KP_Down
    0xFF9A: 0x49,  # KP_Page_Up
    0xFF9B: 0x51,  # KP_Page_Down
    0xFF9C: 0x4F,  # KP_End
    0xFF9D: 0x4C,  # KP_Begin
    0xFF9E: 0x52,  # KP_Insert
    0xFF9F: 0x53,  # KP_Delete
    0xFFAA: 0x37,  # KP_Multiply
    0xFFAB: 0x4E,  # KP_Add
    0xFFAC: 0x53,  # KP_Separator
    0xFFAD: 0x4A,  # KP_Subtract
    0xFFAE: 0x53,  # KP_Decimal
    0xFFAF: 0xB5,  # KP_Divide
    0xFFB0: 0x52,  # KP_0
    0xFFB1: 0x4F,
    0xFFB2: 0x50,
    0xFFB3: 0x51,
    0xFFB4: 0x4B,
    0xFFB5: 0x4C,
    0xFFB6: 0x4D,
    0xFFB7: 0x47,
    0xFFB8: 0x48,
    0xFFB9: 0x49,  # KP_9
    0xFFBD: 0x59,  # KP_Equal
    **{0xFFBE + number: 0x3B + number for number in range(10)},  # F1 to F10
    0xFFC8: 0x57,  # F11
    0xFFC9: 0x58,  # F12
    0xFFE1: 0x2A,  # Shift_L
    0xFFE2: 0x36,  # Shift_R
    0xFFE3: 0x1D,  # Control_L
    0xFFE4: 0x9D,  # Control_R
    0xFFE5: 0x3A,  # Caps_Lock
    0xFFE7: 0xDB,  # Meta_L
    0xFFE8: 0xDC,  # Meta_R
    0xFFE9: 0x38,  # Alt_L
    0xFFEA: 0xB8,  # Alt_R
    0xFE03: 0xB8,  # ISO_Level3_Shift: AltGr
    0xFFEB: 0xDB,  # Super_L
    0xFFEC: 0xDC,  # Super_R
    0xFFFF: 0xD3,  # Delete
}

# Qt's number of a key (Qt.Key) -> X symbol, for window systems that are not X
_QT_KEYS = {
    0x01000000: 0xFF1B,  # Escape
    0x01000001: 0xFF09,  # Tab
    0x01000002: 0xFE20,  # Backtab
    0x01000003: 0xFF08,  # Backspace
    0x01000004: 0xFF0D,  # Return
    0x01000005: 0xFF8D,  # Enter
    0x01000006: 0xFF63,  # Insert
    0x01000007: 0xFFFF,  # Delete
    0x01000008: 0xFF13,  # Pause
    0x01000009: 0xFF61,  # Print
    0x01000010: 0xFF50,  # Home
    0x01000011: 0xFF57,  # End
    0x01000012: 0xFF51,  # Left
    0x01000013: 0xFF52,  # Up
    0x01000014: 0xFF53,  # Right
    0x01000015: 0xFF54,  # Down
    0x01000016: 0xFF55,  # PageUp
    0x01000017: 0xFF56,  # PageDown
    0x01000020: 0xFFE1,  # Shift
    0x01000021: 0xFFE3,  # Control
    0x01000022: 0xFFEB,  # Meta
    0x01000023: 0xFFE9,  # Alt
    0x01000024: 0xFFE5,  # CapsLock
    0x01000025: 0xFF7F,  # NumLock
    0x01000026: 0xFF14,  # ScrollLock
    0x01001103: 0xFE03,  # AltGr
    0x01000055: 0xFF67,  # Menu
    **{0x01000030 + number: 0xFFBE + number for number in range(12)},  # F1 to F12
}


def symbol_of(qt_key: int, text: str) -> int:
    """Find the X symbol of a key for which the window system names none; 0 when there is none."""
    found = _QT_KEYS.get(qt_key)
    if found is not None:
        return found
    if len(text) == 1 and text.isprintable():
        return symbol_of_character(text)
    # with Ctrl the text is a control character, but Qt's number still tells the key
    if 0x20 <= qt_key < 0x7F:
        return ord(chr(qt_key).lower())
    return 0


def symbol_of_character(character: str) -> int:
    """Return the X symbol that prints a character."""
    code = ord(character)
    return code if 0x20 <= code <= 0xFF else 0x01000000 | code


def place_of(symbol: int, scan_code: int) -> int:
    """Find a key's place by its symbol, else by X's number for it; 0 when neither tells it."""
    place = _PLACES_OF_SYMBOLS.get(symbol)
    if place is not None:
        return place
    return _PLACES_OF_LINUX.get(scan_code - X_OFFSET, 0)
