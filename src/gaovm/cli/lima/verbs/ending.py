"""``gaovm lima stop``, ``restart``, ``delete``, ``factory-reset``, ``prune``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.cli import calls, options, progress
from gaovm.cli.lima import homes, instances, say, verb
from gaovm.cli.lima.verbs import starting
from gaovm.client import blocking


def stop(parsed: options.Parsed, tell: say.Log) -> int:
    """Stop an instance; one that does not run is a failure, as for Lima."""
    name = parsed.word() or homes.default_name()
    with calls.connect() as client:
        vm = starting.need(client, name)
        force = parsed.flag("force")
        if instances.status(vm) != instances.RUNNING and not force:
            raise errors.StateConflict(
                f'expected status "{instances.RUNNING}", got "{instances.status(vm)}" '
                f"(maybe use `limactl stop -f`?)"
            )
        _stop(client, name, force=force, tell=tell)
    return 0


def _stop(client: blocking.Client, name: str, *, force: bool, tell: say.Log) -> None:
    tell.info(f"Stopping the instance `{name}`")
    params: dict[str, Any] = {"name": name, **({"force": True} if force else {})}
    with progress.to_stderr(quiet=False) as show:
        client.call("vm.stop", params, on_progress=show.update)


def restart(parsed: options.Parsed, tell: say.Log) -> int:
    """Stop an instance and start it again, with its file as it is now."""
    name = parsed.word() or homes.default_name()
    with calls.connect() as client:
        vm = starting.need(client, name)
        if instances.status(vm) == instances.RUNNING or parsed.flag("force"):
            _stop(client, name, force=parsed.flag("force"), tell=tell)
        starting.begin(client, name, parsed, tell)
    return 0


def delete(parsed: options.Parsed, tell: say.Log) -> int:
    """Remove instances: VM, disk and the instance's own directory."""
    with calls.connect() as client:
        for name in parsed.words:
            vm = starting.find(client, name)
            place = homes.place(name, vm)
            if vm is None and not place.exists():
                tell.warning(f"Ignoring non-existent instance `{name}`")
                continue
            shown = place.directory if vm is None else instances.directory(vm)
            _delete(client, place, vm, force=parsed.flag("force"))
            tell.info(f"Deleted `{name}` (`{shown}`)")
    return 0


def _delete(
    client: blocking.Client, place: homes.Place, vm: dict[str, Any] | None, *, force: bool
) -> None:
    """Remove one instance.

    Raises:
        errors.StateConflict: it runs or is protected; the message is Lima's.
    """
    if vm is not None:
        refusal = ""
        if vm.get("protected"):
            refusal = (
                "instance is protected to prohibit accidental removal "
                "(Hint: use `limactl unprotect`)"
            )
        elif instances.status(vm) == instances.RUNNING and not force:
            refusal = (
                f'expected status "{instances.STOPPED}", got "{instances.RUNNING}" '
                "(maybe use `limactl delete --force`?)"
            )
        if refusal:
            raise errors.StateConflict(f"failed to delete instance `{place.name}`: {refusal}")
        client.call("vm.destroy", {"name": place.name})
    if place.exists() and not Path(place.directory).is_symlink():
        shutil.rmtree(place.directory)


def factory_reset(parsed: options.Parsed, tell: say.Log) -> int:
    """Give an instance an empty disk, and keep its config."""
    name = parsed.word() or homes.default_name()
    with calls.connect() as client:
        vm = starting.need(client, name)
        if not homes.is_own(vm):
            raise errors.UsageError(
                f"`{name}` is the VM of a project", remedy=f"gaovm destroy {name} && gaovm up"
            )
        if vm.get("protected"):
            raise errors.StateConflict(
                f"instance `{name}` is protected", remedy=f"limactl unprotect {name}"
            )
        place = homes.place(name, vm)
        text = Path(place.config).read_text(encoding="utf-8")
        client.call("vm.destroy", {"name": name})
        result = starting.approved(client, "vm.create", starting.file_params(place, text), tell)
        for warning in result.get("warnings") or ():
            tell.warning(warning)
    tell.info(f"Instance `{name}` has been factory reset")
    return 0


def prune(parsed: options.Parsed, tell: say.Log) -> int:
    """Remove the images that no instance uses; Lima's verb empties its cache of downloads."""
    with calls.connect() as client:
        result = client.call("image.prune", {})
    for image in result.get("removed") or ():
        tell.info(f"Removed the image {image['name']}")
    return 0


_FORCE = options.Option("-f, --force", "do not wait for the guest")
_INSTANCE = "[INSTANCE]"

STOP = verb.Verb(
    "stop",
    stop,
    about="Stop an instance: the guest gets the chance to end in order.",
    words=_INSTANCE,
    count=(0, 1),
    flags=(_FORCE,),
    examples=("gaovm lima stop", "gaovm lima stop -f web"),
)

RESTART = verb.Verb(
    "restart",
    restart,
    about="Stop an instance and start it again, with its config file as it is now.",
    words=_INSTANCE,
    count=(0, 1),
    flags=(
        _FORCE,
        options.Option("--progress", "no effect: progress is always shown"),
        options.Option("--timeout", "give up after this time", value="TIME", kind="duration"),
    ),
    examples=("gaovm lima restart web",),
)

DELETE = verb.Verb(
    "delete",
    delete,
    about="Remove instances with their disks. A project's files stay.",
    words="INSTANCE...",
    count=(1, 10_000),
    flags=(options.Option("-f, --force", "also one that runs, without waiting for the guest"),),
    examples=("gaovm lima delete web", "gaovm lima rm -f web db"),
)

FACTORY_RESET = verb.Verb(
    "factory-reset",
    factory_reset,
    about="Give an instance an empty disk; its config stays.",
    words=_INSTANCE,
    count=(0, 1),
    examples=("gaovm lima factory-reset web",),
)

PRUNE = verb.Verb(
    "prune",
    prune,
    about="Remove images that no VM uses.",
    flags=(options.Option("--keep-referred", "no effect: images in use always stay"),),
    examples=("gaovm lima prune",),
)
