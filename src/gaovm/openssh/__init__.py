"""The user's OpenSSH: keys, and aliases of VMs in ``~/.ssh``. GaoVM itself needs no SSH.

Every connection loads ``keys`` and ``places``, so they import little.
"""
