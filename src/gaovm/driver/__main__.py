"""``python -m gaovm.driver``: a spawned driver."""

from __future__ import annotations

from gaovm.driver import main

if __name__ == "__main__":
    main.entry()
