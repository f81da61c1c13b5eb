"""Where the keys of a home lie: below ``$GAOVM_HOME/ssh``."""
# pathlib costs 5 ms
# ruff: noqa: PTH118

from __future__ import annotations

import os


def directory(home: str) -> str:
    """Return the directory of all that this package keeps in a home."""
    return os.path.join(home, "ssh")


def user_key(home: str) -> str:
    """Return the path of the private key that logs in to every VM of a home."""
    return os.path.join(directory(home), "id_ed25519")


def host_key(home: str, name: str) -> str:
    """Return the path of the private key of a VM's sshd."""
    return os.path.join(directory(home), "hosts", name)


def known_hosts(home: str, name: str) -> str:
    """Return the path of the file by which OpenSSH knows a VM."""
    return host_key(home, name) + ".known_hosts"
