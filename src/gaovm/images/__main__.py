"""``python -m gaovm.images build NAME --home DIR``: build or find an image without a daemon.

For development. It prints the paths of the artefacts as JSON, and progress to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from gaovm import errors
from gaovm.images import progress, store


def main() -> int:
    """Run the command; return 0 or the error's exit code."""
    parser = argparse.ArgumentParser(prog="python -m gaovm.images")
    parser.add_argument("action", choices=["build", "ensure"])
    parser.add_argument("name")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--arch", default="x86_64")
    parser.add_argument("--kernel", default="generic")
    parser.add_argument("--mirror")
    parser.add_argument("--agent", type=Path, help="also make the initramfs with this agent")
    arguments = parser.parse_args()
    try:
        print(json.dumps(asyncio.run(run(arguments)), indent=2))
    except errors.GaoError as exc:
        print(f"{exc}\n{exc.advice or ''}", file=sys.stderr)
        return exc.exit_code
    return 0


def default_cache() -> Path:
    """``$GAOVM_CACHE``, else ``~/.cache/gaovm``."""
    return Path(os.environ.get("GAOVM_CACHE") or Path.home() / ".cache" / "gaovm")


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Build or find the image and return the paths of its artefacts."""
    images = store.ImageStore(arguments.home, arguments.cache)
    await images.sweep()
    request = store.BuildRequest(
        name=arguments.name,
        arch=arguments.arch,
        kernel=arguments.kernel,
        mirror=arguments.mirror,
    )
    act = images.build if arguments.action == "build" else images.ensure
    image = await act(request, show)
    paths: dict[str, object] = {
        "digest": image.digest,
        "disk": str(image.disk),
        "disk_format": image.disk_format,
        "kernel": str(image.kernel_path),
        "bzimage": str(image.bzimage_path),
        "modules": str(image.modules_path),
        "kernel_release": image.kernel_release,
    }
    if arguments.agent is not None:
        paths["initrd"] = str(await images.initrd(image, arguments.agent))
    return paths


def show(value: progress.Progress) -> None:
    """Print one line of progress."""
    share = "" if value.percent is None else f"{value.percent:5.1f} % "
    eta = "" if value.eta_s is None else f" ({value.eta_s:.0f} s left)"
    print(f"{share}{value.message}{eta}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
