"""From the parameters of ``vm.up`` to what is wanted: the project file read for this host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gaovm import errors
from gaovm.aio import clock
from gaovm.daemon import params, paths
from gaovm.spec import vm
from gaovm.spec.boot import Arch

if TYPE_CHECKING:
    from gaovm.project import config


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A project's VM as its file asks for it, and what to tell the user about the file.

    ``asked_at``: when reading began (monotonic clock), right after the request was decoded.
    """

    spec: vm.VmSpec
    project: str
    config_path: str
    warnings: tuple[str, ...] = ()
    asked_at: float | None = None


def load(args: params.Up, where: paths.Paths) -> Wanted:
    """Read the config file that the client sent.

    Raises:
        errors.ConfigError: with every problem, its line and its path.
        errors.UsageError: the name is not one, or the project directory is not absolute.
        errors.ImageUnknown: the image is a name that nothing here can build.
        errors.MountMissing: a mount's directory does not exist on this host.
    """
    asked_at = clock.monotonic()
    # The YAML reader is loaded at the first up, not at the daemon's start.
    from gaovm.project import config, names
    from gaovm.project import context as project_context

    if not args.project_dir.startswith("/"):
        raise errors.UsageError(f"{args.project_dir!r} is not an absolute path")
    usual = args.usual_name if isinstance(args, params.Placed) else None
    given = bool(args.name or args.env_name)
    name = names.vm_name(args.name, args.env_name or usual, args.project_dir)
    user = args.user
    caller = project_context.Caller(
        name=user.name,
        uid=user.uid,
        gid=user.gid,
        home=user.home or str(Path.home()),
        comment=user.comment,
    )
    host = project_context.Host(arch=_arch(), vm_dir=str(where.vm_dir(name)))
    loaded = config.load(
        args.config_text, args.config_path, caller, args.project_dir, name, host, given=given
    )
    _check_image(loaded)
    _check_mounts(loaded)
    return Wanted(
        spec=loaded.spec,
        project=os.path.normpath(args.project_dir),
        config_path=args.config_path,
        warnings=loaded.warnings,
        asked_at=asked_at,
    )


def _check_image(loaded: config.Loaded) -> None:
    """Refuse an image that cannot be had before anything is made for the VM."""
    from gaovm.images import recipes

    image, boot = loaded.spec.image, loaded.spec.boot
    if "/" in image.location:
        if image.digest is None:
            raise errors.ImageUnknown(
                f"{loaded.place('images[0]')}: {image.location} has no digest",
                field="images[0].digest",
                remedy="add `digest: sha256:…`, which the image's publisher lists beside it",
            )
        return
    if image.digest is not None:
        raise errors.ConfigError(
            f"{loaded.place('images[0].digest')}: {image.location} is built on this machine and "
            "has a digest of its own each time",
            field="images[0].digest",
            remedy="take `digest` out; it pins images that are pulled from a URL or a path",
        )
    try:
        recipes.find(image.location, boot.arch, boot.kernel)
    except errors.ImageUnknown as exc:
        exc.field = exc.field or "images[0].location"
        exc.message = f"{loaded.place(exc.field)}: {exc.message}"
        raise


def _check_mounts(loaded: config.Loaded) -> None:
    for share in loaded.spec.shares:
        if not Path(share.location).is_dir():
            raise errors.MountMissing(
                f"{loaded.place(share.field or 'mounts')}: {share.location} is no directory "
                "on this host",
                field=share.field,
                remedy="make the directory, or take the mount out of the file",
            )


def _arch() -> Arch:
    machine = os.uname().machine
    return "aarch64" if machine in ("aarch64", "arm64") else "x86_64"
