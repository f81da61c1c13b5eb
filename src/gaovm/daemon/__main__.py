"""``python -m gaovm.daemon``: the daemon."""

from __future__ import annotations

from gaovm.daemon import main

if __name__ == "__main__":
    main.entry()
