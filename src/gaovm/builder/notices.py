"""Requests by which the guest's agent makes its kernel report a change that the host has made.

A kernel tells its own watchers what its own programs do; what the host does in a share, it does not
see. So the agent asks for one of these, and the process that serves the share answers that it is
done and does nothing (``vmmanager.qemu.share_guard``). The kernel then asks for the file's
attributes, which are still the true ones, and reports a change: content, times, mode and owner
stay, and the host's own watchers see no change. Each value is one that no program uses: the first
makes a file unusable for all, the second is larger than file systems allow, the third always fails.

The agent has the same numbers (``agent/internal/mounts/notices.go``).
"""

from __future__ import annotations

#: chmod to this mode exactly: set-id bits and no other. Guests may set no set-id bit anyway.
MODE = 0o6000
#: ftruncate to this size; the lower half is ``gaov`` in ASCII.
SIZE = 0x7FFFFFFF_67616F76
#: setxattr with both XATTR_CREATE and XATTR_REPLACE.
XATTR_FLAGS = 3
