"""Time until a command works, against time until sshd works.

Ours: `gaovm up --wait=agent && gaovm exec -- true` for a stopped, provisioned VM; the daemon runs.
Theirs: bare QEMU with the same kernel, initramfs and disk, on which sshd is enabled,
until systemd reports ssh.service on the serial line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.bare import BareVm
from bench.seat import CONFIG, Seat, seat

# with the host's keys, which the first start would make
ENABLE = "ssh-keygen -q -A && systemctl -q enable ssh"


def usable_command(place: Seat, project: Path) -> float:
    def work() -> None:
        place.run("up", "--wait=agent", cwd=project)
        place.run("exec", "--", "true", cwd=project)

    took = measure.timed(work)
    place.run("stop", cwd=project)
    return took


def usable_ssh(explained: dict[str, Any]) -> float:
    vm = BareVm(explained, extra_kernel="systemd.show_status=1")
    try:
        vm.drain("agent")
        return vm.wait_for("console", b"ssh.service")
    finally:
        vm.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        project = place.project("ssh", CONFIG + 'mountType: "9p"\n')
        place.run("up", cwd=project)
        place.run("exec", "--user", "root", "--", "sh", "-c", ENABLE, cwd=project)
        explained = place.json("explain", cwd=project)
        place.run("stop", cwd=project)
        values = measure.interleaved(
            runs,
            ours=lambda: usable_command(place, project),
            ssh=lambda: usable_ssh(explained),
        )
        measure.report(
            "up --wait=agent && exec -- true / bare QEMU to ssh.service",
            "python bench/ssh.py",
            ours_s=measure.summary(values["ours"]),
            ssh_s=measure.summary(values["ssh"]),
            ratio=measure.ratio(values["ours"], values["ssh"]),
            goal="<= 0.333",
        )


if __name__ == "__main__":
    main()
