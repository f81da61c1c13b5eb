"""``python -m gaovm`` is the ``gaovm`` command."""

from __future__ import annotations

from gaovm.cli import main

if __name__ == "__main__":
    main.entry()
