"""``gaovm image ls | build | pull | rm | prune``."""

from __future__ import annotations

import os

from gaovm.cli import calls, options, output, progress, project_dir, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

HEAD = ("NAME", "ARCH", "KERNEL", "SIZE", "DIGEST", "USED BY")


def show(parsed: options.Parsed) -> int:
    """List the images in the store."""
    with calls.connect() as client:
        images = client.call("image.list", {})["images"]
    if parsed.flag("json"):
        output.json_out({"images": images})
    elif images:
        output.out(output.table(HEAD, [row(image) for image in images]))
    else:
        output.err("No images yet.  Build one:  gaovm image build debian:12")
    return 0


def build(parsed: options.Parsed) -> int:
    """Build an image by name; one that exists is kept unless --force."""
    params: dict[str, Any] = {"name": parsed.words[0]}
    for key in ("arch", "kernel", "mirror"):
        if parsed.flag(key):
            params[key] = parsed.text(key)
    if parsed.flag("force"):
        params["force"] = True
    return _make(parsed, "image.build", params)


def pull(parsed: options.Parsed) -> int:
    """Download an image and check its digest, if one is given."""
    location = parsed.words[0]
    if "://" not in location and "/" in location:  # the daemon has another working directory
        location = os.path.join(project_dir.working_directory(), location)  # noqa: PTH118 (keeps "..")
    params = {"location": location}
    if digest := parsed.text("digest"):
        params["digest"] = digest
    return _make(parsed, "image.pull", params)


def remove(parsed: options.Parsed) -> int:
    """Remove one image that no VM uses."""
    with calls.connect() as client:
        result = client.call("image.remove", {"ref": parsed.words[0]})
    return _removed(parsed, result)


def prune(parsed: options.Parsed) -> int:
    """Remove every image that no VM uses; with --all also the cache."""
    params = {"cache": True} if parsed.flag("all") else {}
    with calls.connect() as client, progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        result = client.call("image.prune", params, on_progress=shown.update)
    return _removed(parsed, result)


def row(image: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    return (
        str(image.get("name")),
        str(image.get("arch") or "-"),
        str(image.get("kernel") or "-"),
        output.size(image.get("size_bytes")),
        output.short_digest(image.get("digest")),
        " ".join(str(name) for name in image.get("used_by") or ()) or "-",
    )


def _make(parsed: options.Parsed, method: str, params: Mapping[str, Any]) -> int:
    with calls.connect() as client, progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        image = waiting.long_call(client, method, params, shown)
    if parsed.flag("json"):
        output.json_out(image)
    else:
        output.out(output.table(HEAD, [row(image)]))
    return 0


def _removed(parsed: options.Parsed, result: Mapping[str, Any]) -> int:
    if parsed.flag("json"):
        output.json_out(result)
        return 0
    names = [
        f"{item.get('name')} ({output.short_digest(item.get('digest'))})"
        for item in result.get("removed") or ()
    ]
    freed = output.size(result.get("freed_bytes"))
    if "cache_freed_bytes" in result:
        output.err(f"the cache is empty; {output.size(result['cache_freed_bytes'])} freed")
    output.err(f"removed {', '.join(names)}; {freed} freed" if names else "nothing to remove")
    return 0


LS = options.Command(
    "image ls",
    show,
    about="List the images in the store and the VMs that use them.",
    options=(options.JSON,),
    examples=("gaovm image ls",),
)

BUILD = options.Command(
    "image build",
    build,
    about="Build an image. gaovm up does this by itself when the image is missing.",
    words="IMAGE",
    count=(1, 1),
    options=(
        options.Option("--arch", "x86_64 or aarch64 (default: this machine's)", value="ARCH"),
        options.Option("--kernel", "which kernel", value="KERNEL", choices=("generic", "cloud")),
        options.Option("--mirror", "take packages from there", value="URL"),
        options.Option("-f, --force", "build again although it exists"),
        options.JSON,
        options.QUIET,
    ),
    examples=(
        "gaovm image build debian:12",
        "gaovm image build debian:12 --mirror http://deb.example.org/debian",
    ),
)

PULL = options.Command(
    "image pull",
    pull,
    about="Download a disk image: raw or qcow2, also compressed with gzip, bzip2, xz or zstd. Its\n"
    "digest is checked before it is stored. Without --digest, a URL must have the digest that it\n"
    "had at its first download. A download that was cut goes on where it ended.",
    words="URL",
    count=(1, 1),
    options=(
        options.Option("--digest", "what the file must be", value="sha256:HEX"),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm image pull https://images.example.org/root.qcow2 --digest sha256:9f86…",),
)

RM = options.Command(
    "image rm",
    remove,
    about="Remove an image, given by name or digest, or by a beginning that no other image has.\n"
    "An image in use stays.",
    words="IMAGE",
    count=(1, 1),
    options=(options.JSON,),
    examples=("gaovm image rm debian:12", "gaovm image rm 9f86d081"),
)

PRUNE = options.Command(
    "image prune",
    prune,
    about="Remove every image that no VM uses. With --all also the cache of built images, their\n"
    "packages and agents, which all homes of this user share: they are made again when needed.",
    options=(
        options.Option("-a, --all", "also empty the cache ($GAOVM_CACHE, else ~/.cache/gaovm)"),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm image prune", "gaovm image prune --all"),
)
