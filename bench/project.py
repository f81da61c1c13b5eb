"""What a person with a project waits for: ``shell``, ``ls`` and ``up``; and what its VM costs.

- ``gaovm shell -- true`` against the same line of the login shell inside the guest.
- ``gaovm ls`` and ``gaovm ls --json`` of 20 stopped VMs (made with the fake hypervisor).
- ``gaovm up`` of a stopped VM with systemd until ``gaovm shell -- pwd`` ends in the project,
  against bare QEMU with the same kernel, disk and packages until systemd has started ssh.
- the memory of all processes beside QEMU, by VM.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure, spawn, ssh
from bench.fleet import Fleet, fleet
from bench.footprint import beside_qemu
from bench.seat import BOOTED, CONFIG, GAOVM, Seat, seat

COMMAND = "python bench/project.py"
STOPPED = 20
#: How the agent runs the command of ``gaovm shell``.
LOGIN = ("/bin/bash", "-lc", 'exec "$@"', "/bin/bash", "true")


def shell(place: Seat, project: Path, runs: int) -> None:
    values = measure.interleaved(
        runs,
        shell=lambda: measure.timed(lambda: place.run("shell", "--", "true", cwd=project)),
        guest=lambda: statistics.median(spawn.times(place, project, 3, *LOGIN)),
    )
    beyond = statistics.median(values["shell"]) - statistics.median(values["guest"])
    measure.report(
        "gaovm shell -- true, whole process, beyond the same command in the guest",
        COMMAND,
        shell_s=measure.summary(values["shell"]),
        guest_s=measure.summary(values["guest"]),
        beyond_ms=round(beyond * 1000, 1),
        goal="<= 60 ms",
    )


async def listing(runs: int) -> None:
    async with fleet() as place:
        for number in range(STOPPED):
            await place.up(f"project-{number}", place.config())
            await place.client.call("vm.stop", {"name": f"project-{number}"})
        await asyncio.to_thread(_list, place, runs)


def _list(place: Fleet, runs: int) -> None:
    def run(*words: str) -> float:
        argv = [GAOVM, "ls", *words]
        return measure.timed(
            lambda: subprocess.run(argv, env=place.env, check=True, stdout=subprocess.PIPE)
        )

    shown = subprocess.run([GAOVM, "ls"], env=place.env, check=True, stdout=subprocess.PIPE).stdout
    if shown.count(b"stopped") != STOPPED:
        raise SystemExit(f"not {STOPPED} stopped VMs:\n{shown.decode()}")
    values = measure.interleaved(runs, plain=run, json=lambda: run("--json"))
    measure.report(
        f"gaovm ls of {STOPPED} stopped VMs, whole process",
        COMMAND,
        plain_s=measure.summary(values["plain"]),
        json_s=measure.summary(values["json"]),
        goal="<= 0.060 both",
    )


def start(place: Seat, project: Path, runs: int) -> None:
    """Compare ``up`` until a shell in the project works with bare QEMU until ssh is started."""

    def up(wait: str) -> float:
        def work() -> None:
            place.run("up", f"--wait={wait}", cwd=project)
            seen = place.run("shell", "--", "pwd", cwd=project)
            if seen.decode().strip() != str(project):
                raise SystemExit(f"the shell is not in the project: {seen!r}")

        took = measure.timed(work)
        place.run("stop", cwd=project)
        return took

    explained = place.json("explain", cwd=project)
    values = measure.interleaved(
        runs,
        agent=lambda: up("agent"),
        ready=lambda: up("ready"),
        bare=lambda: ssh.usable_ssh(explained),
    )
    measure.report(
        "up of a stopped VM with systemd to a shell in the project / bare QEMU to ssh.service",
        COMMAND,
        shell_s=measure.summary(values["agent"]),
        shell_after_ready_s=measure.summary(values["ready"]),
        bare_ssh_s=measure.summary(values["bare"]),
        ratio=measure.ratio(values["agent"], values["bare"]),
        ratio_after_ready=measure.ratio(values["ready"], values["bare"]),
        goal="<= 1/5 of Lima's READY: 98.5 s on a machine like this one, <= 19.7 s",
    )


def memory(place: Seat, count: int) -> None:
    totals = []
    for number in range(count):
        config = CONFIG.replace("512MiB", "256MiB")
        project = place.project(f"beside{number}", config)
        place.run("up", "--wait=agent", cwd=project)
        place.run("shell", "--", "true", cwd=project)
        totals.append(beside_qemu(place))
    measure.report(
        f"memory of all processes beside QEMU, for each VM more, 1 to {count}",
        COMMAND,
        totals_kib=totals,
        each_mib=round((totals[-1] - totals[0]) / (count - 1) / 1024, 2),
        goal="<= 11 MiB",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--vms", type=int, default=4)
    options = parser.parse_args()
    asyncio.run(listing(options.runs))
    with seat() as place:
        project = place.project("project", CONFIG + 'mountType: "9p"\n')
        place.run("up", cwd=project)
        place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        spawn.install(place, project)
        shell(place, project, options.runs)
        place.run("exec", "--user", "root", "--", "sh", "-c", ssh.ENABLE, cwd=project)
        place.run("stop", cwd=project)
        start(place, project, options.starts)
        memory(place, options.vms)


if __name__ == "__main__":
    main()
