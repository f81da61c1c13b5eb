"""Every call of the agent, and every stream: verb, path, body, answer.

``guestmanager`` makes its calls from a row; the lists in ``docs/reference/agent-protocol.md`` are
made from all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from gaovm.wire.agent import (
    calls,
    changes,
    clock,
    disks,
    files,
    guest,
    info,
    journal,
    listeners,
    mounts,
    offer,
    power,
    processes,
    ssh,
    tunnel,
)

B = TypeVar("B", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)


@dataclass(frozen=True)
class Call(Generic[B, A]):
    """One plain call: JSON both ways. A call whose body is ``Nothing`` sends none."""

    verb: str
    path: str
    body: type[B]
    answer: type[A]
    about: str


@dataclass(frozen=True)
class Stream:
    """One full-duplex stream of frames; ``start`` is the payload of its first one."""

    path: str
    start: type[msgspec.Struct]


PING = Call("GET", "/v1/ping", calls.Nothing, calls.Nothing, "The agent answers.")
INFO = Call("GET", "/v1/info", calls.Nothing, info.Info, "What the agent knows about its guest.")
CONFIGURE = Call(
    "PUT",
    "/v1/configure",
    guest.Configuration,
    guest.Configured,
    "Apply a configuration; idempotent, every part optional. `hosts` goes to `/etc/hosts` between"
    " marker lines, in place of the old ones; `env` goes to `/etc/environment` between marker"
    " lines and into every later exec; `timezone` leads `/etc/localtime` to the zone's file, or"
    " writes its rules there if the guest has none; `entropy` is base64; `watchdog` asks whether"
    " the device is fed. A mount that fails is reported for its path.",
)
TRUST = Call(
    "PUT",
    "/v1/trust",
    guest.Trust,
    guest.Trusted,
    "Make the guest trust these certificates, in place of those of the last call: by the"
    " distribution's own program, else in its bundle. `remove_defaults` puts the distribution's"
    " own aside. Does nothing when all is so already.",
)
CLOCK = Call(
    "GET", "/v1/clock", calls.Nothing, clock.Now, "The guest's time, read when the call is handled."
)
CORRECT_CLOCK = Call(
    "POST",
    "/v1/clock",
    clock.Correction,
    clock.Corrected,
    "Add `offset_ns` to the clock: at once with `step` (`ADJ_SETOFFSET` of adjtimex(2)), else"
    " (± 0.5 s) by the kernel's loop (`STA_PLL`, time constant 0 to 10). The status stays"
    ' "unsynchronized", so the kernel leaves the clock chip alone. `{unix_ns}` instead sets the'
    " clock when it differs by 20 ms or more; the answer is then host − guest before that.",
)
GROW_DISK = Call(
    "POST",
    "/v1/disk/grow",
    disks.Grow,
    disks.Grown,
    "Wait (10 s) until the root device has this size, then grow an ext4 root in use; `unsupported`"
    " for another type. May be repeated.",
)
MOUNT_DISKS = Call(
    "POST",
    "/v1/disks/mount",
    disks.MountDisks,
    disks.DisksMounted,
    "Find each disk by its serial number (10 s), or its first partition. Make a file system by the"
    " guest's `mkfs.TYPE` if asked for and if the first and last 4 MiB are zero, and give it to the"
    " user. Grow the partition of a known file system where the guest has `growpart`. Mount it, and"
    " grow ext4 and XFS to the device's size. A disk that fails is reported for its path:"
    " `unsupported` without mkfs or kernel module, `conflict` if it holds something else."
    " May be repeated.",
)
POWER = Call(
    "POST",
    "/v1/power",
    power.Power,
    calls.Nothing,
    "Answers 202. Under systemd by SIGRTMIN+4/+5 to PID 1, under another init by its signal or"
    " program, else sync and reboot(2).",
)
WAIT_BOOTED = Call(
    "POST",
    "/v1/boot/wait",
    guest.Wait,
    guest.Boot,
    "Returns when the distribution has finished booting; `failed` are names of units (systemd:"
    " `systemctl is-system-running --wait` once `/run/systemd/private` exists, seen by inotify;"
    " OpenRC: `/run/openrc/softlevel` is behind `sysinit` and `boot`, and `rc.starting`"
    " is gone; another init, or none: `none` at once). With `until` `manager` it returns when"
    " systemd has opened that socket (`running`), else `none` at once.",
)
WAIT_ONLINE = Call(
    "POST",
    "/v1/network/wait",
    guest.Wait,
    guest.Network,
    "Returns when the network that `ip=` asks for is set up, or cannot be.",
)
WAIT_MOUNT = Call(
    "POST",
    "/v1/mounts/wait",
    mounts.Await,
    mounts.Mounted,
    "Returns when a file system of this type is mounted at the path; `ok` is false when it is not"
    " in time. The kernel reports new mounts (poll(2) on `/proc/self/mountinfo`).",
)
CHANGES = Call(
    "POST",
    "/v1/changes",
    changes.Changes,
    changes.Told,
    "The host has changed files of a share that was mounted with `notify`: make the guest's kernel"
    " report it to its watchers (inotify). Changes that the guest made itself are left out.",
)
SIGNAL = Call(
    "POST",
    "/v1/signal",
    processes.SignalOf,
    calls.Nothing,
    "Signals the process group of a running exec without its stream, whose window may be full of"
    " stdin. `not-found` when no exec has this pid.",
)
LOG = Call(
    "POST",
    "/v1/log",
    journal.Follow,
    journal.Line,
    "Answers 200 and, until the host resets the stream, one line of JSON for each line of the"
    " agent's log after number `after`, stored lines first. From now on the agent keeps lines of"
    " this level or worse (at first: info): the last 512, of up to 1,000 bytes. The first lines"
    " are those of process 1. `seq` begins at 1 in every agent.",
)
LISTENERS = Call(
    "POST",
    "/v1/listeners",
    listeners.Watch,
    listeners.Change,
    "Answers 200 and, until the host resets the stream, one line of JSON for each change of the"
    " TCP and UDP sockets that wait for peers on these ports; the first line has all of them. The"
    " agent looks when the kernel reports a change, else every 75 ms, and reports at most 1,024"
    " listeners. Its own sockets are not among them.",
)

EXEC = Stream("/v1/exec", processes.Command)
SSH = Stream("/v1/ssh", ssh.Connection)
TUNNEL = Stream("/v1/tunnel", tunnel.Tunnel)
OFFER = Stream("/v1/offer", offer.Offer)
COPY_IN = Stream("/v1/copy/in", files.CopyIn)
COPY_OUT = Stream("/v1/copy/out", files.CopyOut)

_ROWS = list(globals().values())
CALLS: tuple[Call[Any, Any], ...] = tuple(row for row in _ROWS if isinstance(row, Call))
STREAMS: tuple[Stream, ...] = tuple(row for row in _ROWS if isinstance(row, Stream))
#: The JSON payloads of frames, apart from START.
PAYLOADS: tuple[type[msgspec.Struct], ...] = (
    processes.Signal,
    processes.Resize,
    processes.Started,
    processes.Exit,
    offer.Accepted,
    calls.Problem,
)
