"""``gaovm lima protect``, ``unprotect`` and ``autostart``: what the daemon keeps of an instance."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gaovm import errors
from gaovm.cli import calls, options
from gaovm.cli.lima import homes, say, verb
from gaovm.cli.lima.verbs import starting


def protect(parsed: options.Parsed, tell: say.Log) -> int:
    """Protect instances from removal."""
    return _each(parsed, tell, protected=True)


def unprotect(parsed: options.Parsed, tell: say.Log) -> int:
    """Take the protection of instances away."""
    return _each(parsed, tell, protected=False)


def _each(parsed: options.Parsed, tell: say.Log, *, protected: bool) -> int:
    failed = []
    with calls.connect() as client:
        for name in parsed.words:
            vm = starting.find(client, name)
            if vm is None:
                failed.append(f"failed to inspect instance `{name}`: there is no such instance")
            elif bool(vm.get("protected")) == protected:
                state = "is already protected" if protected else "isn't protected"
                tell.warning(f"Instance `{name}` {state}. Skipping.")
            else:
                client.call("vm.protect", {"name": name, "protected": protected})
                _mark(vm, protected=protected)
                tell.info(f"{'Protected' if protected else 'Unprotected'} `{name}`")
    if failed:
        raise errors.VmNotFound("\n".join(failed))
    return 0


def _mark(vm: dict[str, object], *, protected: bool) -> None:
    """Keep Lima's file ``protected`` in an own instance's directory, for scripts that look."""
    if not homes.is_own(vm):
        return
    mark = Path(str(vm["project"])) / homes.PROTECTED
    with contextlib.suppress(OSError):
        if protected:
            mark.touch(mode=0o400)
        else:
            mark.unlink(missing_ok=True)


def autostart(parsed: options.Parsed, tell: say.Log) -> int:
    """Let the daemon start an instance when it starts itself, or no longer."""
    wish = str(parsed.word())
    if wish not in ("enable", "disable"):
        raise AUTOSTART.mistake(f"unknown command {wish!r} for autostart: enable or disable")
    name = parsed.word(1) or homes.default_name()
    with calls.connect() as client:
        starting.need(client, name)
        changes = {"autostart": True if wish == "enable" else None}
        client.call("vm.config.set", {"name": name, "changes": changes})
    tell.info(f"The instance `{name}` has autostart {wish}d")
    if wish == "enable":
        tell.info("The daemon itself starts at boot or login after `gaovm daemon enable`")
    return 0


PROTECT = verb.Verb(
    "protect",
    protect,
    about="Protect instances from removal, by this command line and by gaovm destroy.",
    words="INSTANCE...",
    count=(1, 10_000),
    examples=("gaovm lima protect web",),
)

UNPROTECT = verb.Verb(
    "unprotect",
    unprotect,
    about="Take the protection away.",
    words="INSTANCE...",
    count=(1, 10_000),
    examples=("gaovm lima unprotect web",),
)

AUTOSTART = verb.Verb(
    "autostart",
    autostart,
    about="Let the daemon start an instance when it starts itself, if it ran before.\n"
    "gaovm daemon enable lets the system start the daemon.",
    words="enable|disable INSTANCE",
    count=(1, 2),
    flags=(
        options.Option("--condition", "no effect: see gaovm daemon enable", value="WHEN"),
        options.Option("--user", "no effect: see gaovm daemon enable", value="USER"),
    ),
    examples=("gaovm lima autostart enable web",),
)
