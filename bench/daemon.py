"""The daemon: time from exec to its first answer, memory, and CPU while idle with 0 and 3 VMs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import CONFIG, PYTHON, Seat, seat

TICKS = os.sysconf("SC_CLK_TCK")


def start_to_answer(place: Seat) -> float:
    """Return the seconds from the daemon's exec to its first answer over the socket."""
    import subprocess

    from gaovm.client import blocking

    read, write = os.pipe()
    begin = time.perf_counter()
    child = subprocess.Popen(
        [PYTHON, "-m", "gaovm.daemon", "--ready-fd", str(write)],
        env=place.env,
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    os.read(read, 16)
    os.close(read)
    client = blocking.connect(place.home, start=False)
    client.call("ping", {})
    took = time.perf_counter() - begin
    client.close()
    place.run("daemon", "stop")
    child.wait()
    return took


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle(place: Seat, seconds: float, vms: int, goal: str) -> None:
    status = place.json("daemon", "status")
    before = cpu_s(status["pid"])
    time.sleep(seconds)
    used = cpu_s(status["pid"]) - before
    text = Path(f"/proc/{status['pid']}/status").read_text()
    rss = next(int(x.split()[1]) for x in text.splitlines() if x.startswith("VmRSS"))
    measure.report(
        f"daemon idle with {vms} VMs",
        "python bench/daemon.py",
        seconds=seconds,
        cpu_percent=round(100 * used / seconds, 3),
        rss_mib=round(rss / 1024, 1),
        goal=goal,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    with seat() as place:
        values = [start_to_answer(place) for _ in range(args.runs)]
        measure.report(
            "daemon, exec to answering its socket",
            "python bench/daemon.py",
            seconds=measure.summary(values),
            goal="<= 0.4 s",
        )
        place.run("ls")
        time.sleep(2)
        idle(place, args.seconds, 0, "< 0.1 %, <= 60 MiB")
        for number in range(3):
            project = place.project(f"idle{number}", CONFIG.replace("512MiB", "256MiB"))
            place.run("up", cwd=project)
        time.sleep(30)
        idle(place, args.seconds, 3, "< 0.5 %, <= 60 MiB")


if __name__ == "__main__":
    main()
