"""Run one command in every running VM at once, and print what each said.

    python run_everywhere.py COMMAND [ARGUMENT…]

Exits with 0 when the command succeeded everywhere, else with 1.
"""

from __future__ import annotations

import asyncio
import sys

from gaovm import errors
from gaovm.client import async_client
from gaovm.wire.control import table, vms


async def run_in(client: async_client.AsyncClient, name: str, command: list[str]) -> bool:
    """Run the command in one VM, print its output, and say whether it succeeded."""
    try:
        done = await client.run(name, command)
    except errors.GaoError as exc:
        print(f"{name}: {exc}", file=sys.stderr)
        return False
    for line in (done.stdout + done.stderr).decode(errors="replace").splitlines():
        print(f"{name}: {line}")
    return done.status == 0


async def main(command: list[str]) -> int:
    """Connect to the daemon and run the command in all VMs that run."""
    async with await async_client.connect() as client:
        listed = await client.call(table.VM_LIST, vms.List())
        names = [vm.name for vm in listed.vms if vm.state == "running"]
        succeeded = await asyncio.gather(*(run_in(client, name, command) for name in names))
    return 0 if all(succeeded) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: run_everywhere.py COMMAND [ARGUMENT...]")
    sys.exit(asyncio.run(main(sys.argv[1:])))
