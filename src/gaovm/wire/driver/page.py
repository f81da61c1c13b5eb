"""``docs/reference/driver-protocol.md``, made from the table and the structs so it cannot drift."""

from __future__ import annotations

import msgspec

from gaovm.wire import sections, shapes
from gaovm.wire.driver import notifications, table

_HEAD = """\
# The driver's protocol: `gaovm.driver.v1`

Generated from `gaovm.wire.driver`; `pytest tests/architecture --regenerate` rewrites it.

The daemon and one driver speak over the socket pair of the fork request, in the frames of the
[control protocol](control-protocol.md). The driver says hello first, with its token. The daemon
requires the methods that are marked *core*; it uses the others when the driver's hello offers them,
and refuses by name (`capability_missing`) what a driver does not serve.

Both sides ignore fields that they do not know, and every field with `?` may be missing: a newer
daemon speaks to drivers that older code started.

## Methods

The daemon calls, the driver answers. A field with `?` may be left out; it then has its default.
Names with a capital letter are types, explained below.
"""

_TYPES = """\
## Types
"""

_REQUEST = """\
### LaunchRequest

`vm.configure` carries all that a driver needs to know about its VM. `spec` is a `VmSpec` of
`gaovm.spec.vm`, `facts` are the host's (`gaovm.model.facts`); without them the driver collects its
own. `host_ports` has an entry for each forward: the host port of the last start where any will do,
else 0. When that port is taken, the driver binds another one and says so in the forward's
`lost_host_port`.
`artefacts.disk` is the image's own file, never written, and `disk_format` its format; the driver
makes the overlay `vm_dir/disk.qcow2` over it, and grows it when `spec.disk` is larger.
"""

_NOTIFICATIONS = """\
## Notifications

The driver tells what happens, at once.
"""

_STATES = """\
### Reasons and kinds

A driver whose VM ended by itself (guest powered off, hypervisor killed, boot failed) sends `state`
and leaves. The `reason` of a `state`:

- `guest`: the guest switched itself off
- `stop`: the daemon asked for it, or the driver leaves by its own rules; no power-off of the guest,
  so the restart policy decides
- `killed`, `failed`: the hypervisor ended; the boot failed
- `share`: the server of a shared directory ended
- `reset`: the guest rebooted
- `panic`, `watchdog`, `unresponsive`: as the kind of `health`, and what `vm.kill` was given
- `io_error`: the guest is paused: the host could not write its disk
- `agent_lost`: the agent closed its port, or its connection broke, and it was not back within 2 s
- `network_lost`: passt ended; the VM is `degraded` until `network_back`

`error` has the fields of an error's `data` in the control protocol, and `message`.

The `kind` of a `health` notification, and the daemon's event for it (`{detail}`). The driver
reports, the daemon decides by `watchdog.onHang`:

- `watchdog` → `guest.watchdog`: the guest did not feed its watchdog device in time; QEMU does
  nothing else
- `panic` → `guest.panicked`: the guest's kernel panicked: the panic device told, or the last words
  before a reset. The VM then ends as `failed` with reason `panic`; with `onHang: pause` it is
  paused
- `unresponsive` → `guest.unresponsive`: the agent answered nothing for the watchdog's timeout;
  once. A paused guest is not asked
- `responsive` → `guest.responsive`: the agent answers again; once
- `network_lost` → `network.lost`: passt ended, or could not be started; the driver starts it again
  after growing pauses
- `network_back` → `network.back`: passt runs again; once
- `shares_unwatched` → `shares.unwatched`: with `mountInotify`, directories are not watched: there
  are too many, or the driver may not read them
- `paused`, `resumed` → `vm.paused`, `vm.resumed`: QEMU has stopped or continued the guest; `detail`
  of a pause: `asked`, `io_error`, `panic`

A driver that was started before an upgrade may say `network-lost`, `network-back`, `io-error` and
`agent-lost`; the daemon takes both spellings.
"""

_SESSIONS = """\
## Sessions: bulk bytes

A client connects to `$GAOVM_HOME/run/<8 hex>/driver.sock` (0600) and sends one frame: a length of 4
bytes, big endian, and JSON of at most 4 KiB, `{"ticket": "<hex>", "stream": "exec"|"tunnel"|`
`"copy-in"|"copy-out"|"ssh"}`. The driver answers with one frame, `{"ok": true}`, or
`{"error": {code, message}}` and closes. After `ok` both directions are the raw frames of
[agent-protocol.md](agent-protocol.md) part 4, relayed byte for byte between the client and one
HTTP/2 stream of the agent; half-close is passed on. A ticket is 32 random bytes, good once and for
30 s, and opens only the kind of stream that the daemon asked for. When the guest goes away, the
socket closes without an EXIT frame.
"""


def render_markdown() -> str:
    """The whole page."""
    told = [*_notifications(), _STATES, _SESSIONS]
    return "\n".join([_HEAD, *_methods(), _TYPES, *_types(), _REQUEST, _launch(), *told])


def _methods() -> list[str]:
    found = []
    shared = _types_of_results()
    for row in table.METHODS.values():
        params = "LaunchRequest" if row is table.VM_CONFIGURE else shapes.fields(row.params)
        given = [] if params == "{}" else [params]
        core = "*Core.* " if row.core else ""
        result = f"→ {_result(row.result, shared)}"
        found.append(sections.section(f"### `{row.name}`", core + row.about, *given, result))
    return found


def _launch() -> str:
    return sections.block(shapes.fields(table.VM_CONFIGURE.params)) + "\n"


def _types() -> list[str]:
    """The nested types, apart from those of the spec and the host's facts."""
    asked = shapes.named(table.VM_CONFIGURE.params)
    return [
        sections.section(
            f"### {kind.__name__}", shapes.about(kind), shapes.fields(kind, sent=kind not in asked)
        )
        for kind in dict.fromkeys((*asked, *_types_of_results()))
        if kind.__module__.startswith("gaovm.wire.")
    ]


def _types_of_results() -> list[type[msgspec.Struct]]:
    """The types nested in results, and the results that several methods have."""
    results = [row.result for row in table.METHODS.values()]
    repeated = [kind for kind in results if results.count(kind) > 1 and shapes.fields(kind) != "{}"]
    return list(dict.fromkeys((*shapes.named(*results), *repeated)))


def _result(kind: type[msgspec.Struct], shared: list[type[msgspec.Struct]]) -> str:
    return kind.__name__ if kind in shared else shapes.fields(kind, sent=True)


def _notifications() -> list[str]:
    found = [_NOTIFICATIONS]
    for name, kind in notifications.BY_NAME.items():
        about = shapes.about(kind).removeprefix(f"`{name}`: ")
        about = about[0].upper() + about[1:]
        found.append(sections.section(f"### `{name}`", about, shapes.fields(kind)))
    return found
