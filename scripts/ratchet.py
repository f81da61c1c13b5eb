"""Print how much of each package the tests cover, and fail if it is less than promised.

The whole run writes what the tests' own processes cover to ``.coverage``. The daemons, drivers and
commands that ``tests/process`` starts write theirs beside it (``tests/measuring.py``); this script
adds them up. It measures each pure package again, with only that package's unit tests: what other
packages' tests reach does not count there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = ROOT / "tests" / "architecture"
#: What processes measured that tests started; ``tests/measuring.py`` names the directory too.
MEASURED = ROOT / ".measured"
#: Percent of lines and branches. Raise them when you can; never lower them. Code that runs only in
#: the crash matrix or with real VMs does not count: nobody measures those processes. The promise is
#: 90; nobody has measured the whole since the parts of decisions 40 to 47 came.
LEAST_OF_ALL = 85.0
LEAST_OF_PURE = 98.0
#: The tests that compare generated pages with the tables they come from.
PAGES = sorted(f"tests/architecture/{path.name}" for path in ARCHITECTURE.glob("test_*_doc.py"))
#: Pure code, and its own tests.
PURE = {
    "spec/*": ["tests/unit/spec"],
    "model/*": ["tests/unit/model", *PAGES],
    "project/*": ["tests/unit/project"],
    "builder/*": [
        "tests/unit/builder",
        "tests/golden",
        *PAGES,
        "tests/architecture/test_backends.py",
    ],
    "wire/*": ["tests/unit/wire", *PAGES],
    "errors/*": ["tests/unit/errors"],
    "ipc/frames.py,ipc/jsonrpc.py,ipc/hello.py,ipc/peer.py,ipc/methods.py": ["tests/unit/ipc"],
}


class Cover(NamedTuple):
    """How much of some code the tests ran: lines and branches counted together."""

    run: int
    all: int

    @property
    def percent(self) -> float:
        return 100.0 * self.run / self.all if self.all else 100.0


def measure_pure(where: str, tests: list[str]) -> tuple[str, Cover, str]:
    """Run a pure package's own tests; return its name, what they cover and what they miss."""
    include = "--include=" + ",".join(f"src/gaovm/{part}" for part in where.split(","))
    with tempfile.TemporaryDirectory() as directory:
        env = {**os.environ, "COVERAGE_FILE": f"{directory}/data"}
        plugins = [word for each in ("cacheprovider", "xdist") for word in ("-p", f"no:{each}")]
        done = coverage(["run", "-m", "pytest", "-q", *plugins, *tests], env)
        if done.returncode != 0:
            raise SystemExit(done.stdout)
        summary = totals(env, include)
        lines = coverage(["report", "--show-missing", "--skip-covered", include], env).stdout
    return where, summary, lines


def coverage(words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coverage", *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def add_up(env: dict[str, str]) -> None:
    """Add to the whole run's coverage what the processes measured that tests started.

    Coverage.py ends a file's name with a hash once the file is whole. A process that was killed
    while it wrote leaves a file without one.
    """
    files = [str(path) for path in MEASURED.glob("data.*.H*h")]
    if files:
        done = coverage(["combine", "--append", "--quiet", *files], env)
        if done.returncode != 0:
            raise SystemExit(done.stdout)


def report(env: dict[str, str], *options: str) -> dict[str, Cover]:
    """Return the measured coverage by file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report.json"
        done = coverage(["json", "-q", "-o", str(path), *options], env)
        if not path.exists():
            raise SystemExit(done.stdout)
        files = json.loads(path.read_text())["files"]
    found = {}
    for name, file in files.items():
        counts = file["summary"]
        run = counts["covered_lines"] + counts.get("covered_branches", 0)
        found[name] = Cover(run, counts["num_statements"] + counts.get("num_branches", 0))
    return found


def totals(env: dict[str, str], *options: str) -> Cover:
    covers = report(env, *options).values()
    return Cover(sum(each.run for each in covers), sum(each.all for each in covers))


def print_all(files: dict[str, Cover]) -> float:
    """Print what the whole run covers, one line per package; return the total percentage."""
    packages: dict[str, list[Cover]] = defaultdict(list)
    for name, cover in files.items():
        parts = name.removeprefix("src/gaovm/").split("/")
        packages[parts[0] if len(parts) > 1 else "(root)"].append(cover)
    total = Cover(0, 0)
    print("covered by the whole run, without the crash matrix and real VMs:")
    for name, covers in sorted(packages.items()):
        cover = Cover(sum(each.run for each in covers), sum(each.all for each in covers))
        total = Cover(total.run + cover.run, total.all + cover.all)
        print(f"  {name:14} {cover.percent:6.1f} %   {cover.all - cover.run:5} missed")
    print(f"  {'all':14} {total.percent:6.1f} %   at least {LEAST_OF_ALL} %")
    return total.percent


def main() -> int:
    failed = False
    if "--pure" not in sys.argv:
        add_up(dict(os.environ))
        failed = print_all(report(dict(os.environ))) < LEAST_OF_ALL
    print(f"pure packages by their own unit tests, at least {LEAST_OF_PURE} %:")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for where, cover, missing in pool.map(measure_pure, PURE, PURE.values()):
            print(f"  {where:14.14} {cover.percent:6.1f} %")
            if cover.percent < LEAST_OF_PURE:
                failed = True
                print(missing)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
