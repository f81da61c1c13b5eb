"""GaoVM: a virtual machine manager for projects, operators and agents.

One engine: a daemon that keeps desired state (``daemon``), one driver process per VM
(``driver``) and a static agent in the guest. The layers are listed in ``ARCHITECTURE.md`` and
kept by import-linter.

This package root holds nothing: nobody imports it.
"""
