"""SSH by the alias of a VM, against an sshd that listens in the same guest on a forwarded port.

A new connection that runs `true`, one more session on a shared connection, and 64 MiB each way
through `cat`. `gaovm exec -- true` stands beside the first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import BOOTED, CONFIG, GAOVM, Seat, seat

BULK = 64 << 20
#: Gives the guest an sshd that listens, with our key for root.
LISTEN = """
set -e
mkdir -p -m 700 ~/.ssh
cat > ~/.ssh/authorized_keys
systemctl enable --now ssh 2>&1
"""


class Way:
    """One way to the guest: the words of ssh, without the command."""

    def __init__(self, env: dict[str, str], words: list[str]) -> None:
        self.env = env
        self.words = words

    def run(self, *command: str, data: bytes = b"") -> float:
        def work() -> None:
            subprocess.run(
                [*self.words, *command],
                input=data,
                env=self.env,
                stdout=subprocess.DEVNULL,
                check=True,
            )

        return measure.timed(work)


def ways(place: Seat, project: Path) -> tuple[Way, Way, Way]:
    """Return the alias, the listening sshd and exec."""
    key = place.home / "ssh" / "id_ed25519"
    place.run("ssh-config", "--write", cwd=project)
    public = key.with_suffix(".pub").read_bytes()
    subprocess.run(
        [GAOVM, "exec", "--user", "root", "--", "sh", "-c", LISTEN],
        input=public,
        cwd=project,
        env=place.env,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    port = place.json("port", "add", "22", cwd=project)["host_port"]
    config = Path(place.env["HOME"]) / ".ssh" / "config"
    listening = ["ssh", "-F", "none", "-i", str(key), "-p", str(port), "-o", "LogLevel=ERROR"]
    listening += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    ours = Way(place.env, ["ssh", "-F", str(config), "-l", "root", "gaovm-bench-dev"])
    theirs = Way(place.env, [*listening, "root@127.0.0.1"])
    return ours, theirs, Way(place.env, [GAOVM, "exec", "--name", "bench-dev", "--"])


def shared(way: Way, runs: int) -> list[float]:
    """Measure sessions on one connection."""
    base = Path(tempfile.mkdtemp(prefix="ga."))
    words = [way.words[0], "-o", f"ControlPath={base}/m", *way.words[1:]]
    session = Way(way.env, words)
    null = subprocess.DEVNULL  # a master in the background would keep our stderr open
    begin, end = (["-M", "-N", "-f"], ["-O", "exit"])
    subprocess.run([words[0], *begin, *words[1:]], check=True, env=way.env, stderr=null)
    try:
        return [session.run("true") for _ in range(runs)]
    finally:
        subprocess.run([words[0], *end, *words[1:]], check=False, env=way.env, stderr=null)
        shutil.rmtree(base, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with seat() as place:
        user = place.base / "user"
        (user / ".ssh").mkdir(parents=True, mode=0o700)
        place.env["HOME"] = str(user)
        cache = str(Path.home() / ".cache" / "gaovm")
        place.env.setdefault("GAOVM_CACHE", cache)
        project = place.project("bench", CONFIG)
        place.run("up", cwd=project)
        place.run("exec", "--", "sh", "-c", BOOTED, cwd=project)
        ours, theirs, execute = ways(place, project)
        found = measure.interleaved(
            runs,
            alias=lambda: ours.run("true"),
            listening=lambda: theirs.run("true"),
            exec=lambda: execute.run("true"),
        )
        report("ssh: a new connection that runs true", found)
        both = {"alias": shared(ours, runs), "listening": shared(theirs, runs)}
        report("ssh: one more session on a connection", both)
        data = os.urandom(1 << 20) * (BULK >> 20)
        bulk = measure.interleaved(
            max(runs // 3, 1),
            alias=lambda: ours.run("cat", data=data),
            listening=lambda: theirs.run("cat", data=data),
            exec=lambda: execute.run("cat", data=data),
        )
        report("ssh: 64 MiB to cat and back", bulk)


def report(figure: str, values: dict[str, list[float]]) -> None:
    measure.report(
        figure,
        "python bench/alias.py",
        **{f"{name}_s": measure.summary(each) for name, each in values.items()},
        ratio=measure.ratio(values["alias"], values["listening"]),
    )


if __name__ == "__main__":
    main()
