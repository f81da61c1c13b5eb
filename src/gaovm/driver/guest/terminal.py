"""Show a terminal, with the VM's user logged in, on the display of a guest without a desktop.

The image starts no login prompt, as nobody has a password; those who see the display may act as the
user anyway (``gaovm shell``). This writes nothing to the guest's disk, and changes nothing in a
guest that has a desktop, or a terminal on its display already.
"""

from __future__ import annotations

import logging

from gaovm import errors
from gaovm.guestmanager import guest, processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.processes import Command

logger = logging.getLogger(__name__)
BOOT_LIMIT_S = 300.0
LIMIT_S = 60.0
_SCRIPT = r"""
set -e
for unit in display-manager getty@tty1; do
    if systemctl is-active --quiet $unit.service; then exit 0; fi
done
dropin=/run/systemd/system/getty@tty1.service.d
mkdir -p $dropin
printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin %s --noclear %%I $TERM\n' \
    "$1" > $dropin/gaovm.conf
systemctl start getty@tty1.service
"""


async def offer(connection: Connection, user: str) -> None:
    """Log the user in on the guest's first terminal once the distribution has booted.

    If the guest cannot do that, log the reason and do not raise.
    """
    command = Command(argv=("/bin/sh", "-c", _SCRIPT, "sh", user), user="root")
    said = bytearray()
    try:
        if (await guest.wait_booted(connection, BOOT_LIMIT_S)).state == "none":
            return  # no systemd
        ended = await processes.run(
            connection, command, on_output=lambda _, data: said.extend(data[:1000]), limit_s=LIMIT_S
        )
    except (errors.GaoError, TimeoutError) as exc:
        logger.info("no terminal on the display: %s", exc)
        return
    if ended.code != 0:
        words = bytes(said[-500:]).decode("utf-8", "replace").strip()
        logger.info("no terminal on the display: status %s: %s", ended.code, words)
