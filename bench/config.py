"""Load and validate a config of 200 lines with two bases, beside a plain parse of the same text.

Ours ends with a spec: three files read from disk, embedded, merged, checked and turned into what
the driver needs. The comparison is ``yaml.CSafeLoader`` on the three texts in memory: a parse
alone, which knows neither lines nor types nor fields.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml
from bench import measure

from gaovm import errors
from gaovm.hostfacts import sources
from gaovm.project import config, context

COMMAND = "python bench/config.py"
GOAL_MS = 15.0
BAD_MS = 300.0
LINES = 200
_IMAGES = """\
minimumLimaVersion: 2.0.0
images:
"""
_TOOLS = """\
param:
  level: info
mounts:
- location: ~/.config
- location: ~/src
  writable: true
env:
  EDITOR: vi
  LEVEL: base
provision:
- mode: system
  script: |
    #!/bin/sh
    apt-get install -y git
probes:
- script: |
    #!/bin/sh
    git --version
  hint: see the provision scripts
"""
_MAIN = """\
# A project's config
base:
- images.yaml
- tools.yaml
cpus: 4
memory: 8GiB
disk: 50GiB
containerd: {system: false, user: false}
ssh: {localPort: 0}
message: see {{.Dir}} of {{.Name}} at {{.Param.level}}
provision:
"""


def texts() -> dict[str, str]:
    """Return the three files; the main one has ``LINES`` lines."""
    images = _IMAGES
    for release in range(24):
        images += f"- location: https://example.com/{release}/disk-amd64.img\n  arch: x86_64\n"
        images += f"  digest: sha256:{release:064x}\n"
    main = _MAIN
    for number in range(20):
        mode = "user" if number % 2 else "system"
        main += f"- mode: {mode}\n  script: |\n    #!/bin/sh\n    echo {number} $PARAM_level\n"
    main += "portForwards:\n"
    for number in range(16):
        main += f"- guestPort: {3000 + number}\n  hostPort: 0\n"
    main += "mounts:\n"
    for number in range(10):
        main += f"- location: ~/work/{number}\n  mountPoint: /mnt/{number}\n  writable: false\n"
    main += "env:\n"
    left = LINES - main.count("\n")
    main += "".join(f"  NAME_{number}: value {number}\n" for number in range(left))
    return {"config.yaml": main, "images.yaml": images, "tools.yaml": _TOOLS}


def bad() -> dict[str, str]:
    """Return files that are made to cost; each is refused."""
    many = "".join(f"key{number}: 1\n" for number in range(15_000))
    bomb = "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
        f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *{'a' if n == 0 else f'b{n - 1}'}]\n"
        for n in range(20)
    )
    rules = "portForwards:\n" + "- guestPort: 70000\n" * 4000
    bases = "base: [" + ", ".join(["images.yaml"] * 4000) + "]\n"
    return {"15,000 keys": many, "aliases": bomb, "4,000 bad ports": rules, "4,000 bases": bases}


def refused_ms(text: str, path: str, project: str) -> float:
    """Return the milliseconds of processor that a file costs until it is refused."""
    caller, host = context.Caller("ann", 1000, 1000, "/home/ann"), context.Host("x86_64", "/x")
    begin = time.process_time()
    try:
        resolver = sources.Files(Path(project) / "home", project)
        config.load(text, path, caller, project, "web-dev", host, resolver=resolver)
    except errors.ConfigError:
        return (time.process_time() - begin) * 1000
    raise SystemExit("a bad file was taken")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=51)
    arguments = parser.parse_args()
    files = texts()
    caller = context.Caller("ann", 1000, 1000, "/home/ann")
    host = context.Host("x86_64", "/home/ann/.gaovm/vms/web-dev")
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        (project / ".lima").mkdir()
        for file, text in files.items():
            (project / ".lima" / file).write_text(text)
        path = str(project / ".lima" / "config.yaml")

        def ours() -> float:
            begin = time.perf_counter()
            text = Path(path).read_text()
            resolver = sources.Files(project / "home", name)
            loaded = config.load(text, path, caller, name, "web-dev", host, resolver=resolver)
            spent = time.perf_counter() - begin
            if len(loaded.spec.guest.provision) != 21 or loaded.warnings:
                raise SystemExit(f"the file was not read as meant: {loaded.warnings}")
            return spent * 1000

        def plain() -> float:
            begin = time.perf_counter()
            for text in files.values():
                yaml.load(text, Loader=yaml.CSafeLoader)
            return (time.perf_counter() - begin) * 1000

        values = measure.interleaved(arguments.runs, ours=ours, plain=plain)
        costs = {
            what: measure.summary([refused_ms(text, path, name) for _ in range(5)], 1)
            for what, text in bad().items()
        }
    measure.report(
        "load and validate a 200-line config with two bases, ms",
        COMMAND,
        goal=f"<= {GOAL_MS:g} ms",
        lines={name: text.count("\n") for name, text in files.items()},
        ours=measure.summary(values["ours"], 2),
        plain=measure.summary(values["plain"], 2),
        ratio=measure.ratio(values["ours"], values["plain"]),
    )
    measure.report(
        "processor time until a file that is made to cost is refused, ms",
        COMMAND,
        goal=f"<= {BAD_MS:g} ms",
        ours=costs,
    )


if __name__ == "__main__":
    main()
