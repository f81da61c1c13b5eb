"""``gaovm lima info``, ``show-ssh``, ``watch``, ``screenshot``, ``completion``: what only asks."""

from __future__ import annotations

import os
import sys

from gaovm.cli import calls, options, output
from gaovm.cli import main as gaovm_main
from gaovm.cli.lima import homes, instances, reading, say, sshfile, verb
from gaovm.cli.lima.verbs import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FORMS = ("cmd", "args", "options", "config")
_SHELLS = ("bash", "zsh", "fish")


def info(parsed: options.Parsed, tell: say.Log) -> int:
    """Print what GaoVM offers, by Lima's names."""
    found = facts()
    expressions = parsed.many("yq")
    if not expressions:
        output.json_out(found)
        return 0
    from gaovm.cli.lima import querying

    text = output.json_text(found)
    chosen = " | ".join(expressions)
    shown = querying.evaluate(chosen, text, form="json", into="json", color=say.on_terminal())
    output.out(shown.rstrip("\n"))
    return 0


def facts() -> dict[str, Any]:
    """Return what ``limactl info`` has: version, templates, the default template, kinds of VM."""
    from gaovm.builder import backends
    from gaovm.cli.lima import querying
    from gaovm.cli.lima.verbs import templating

    kinds = [row.name for row in backends.BACKENDS if row.present]
    filled = querying.evaluate(".", templating.filled(reading.default()), into="json")
    import json

    root = homes.root()
    arch = os.uname().machine
    return {
        "version": instances.LIMA_VERSION,
        "templates": [
            {"name": name, "location": f"template:{name}"} for name in reading.listed_names()
        ],
        "defaultTemplate": json.loads(filled),
        "limaHome": root,
        "vmTypes": kinds,
        "vmTypesEx": {kind: {"location": "internal"} for kind in kinds},
        "guestAgents": {},
        "hostOS": "linux",
        "hostArch": arch,
        "identityFile": os.path.join(root, "_config", "user"),  # noqa: PTH118
    }


def show_ssh(parsed: options.Parsed, tell: say.Log) -> int:
    """Print how ssh reaches an instance, from what ``gaovm ssh-config`` says."""
    name = str(parsed.word())
    with calls.connect() as client:
        starting.need(client, name)
    lines = sshfile.lines(name)
    form = parsed.text("format") or "cmd"
    if form == "config":
        output.out("\n".join(lines))
        return 0
    pairs = [line.split(None, 1) for line in lines if line.startswith((" ", "\t"))]
    host = next((line.split()[1] for line in lines if line.lower().startswith("host ")), name)
    settings = [f"{pair[0]}={pair[1]}" for pair in pairs if len(pair) == 2]
    if form == "options":
        output.out("\n".join(settings))
        return 0
    import shlex

    words = " ".join(f"-o {shlex.quote(setting)}" for setting in settings)
    output.out(words if form == "args" else f"ssh {words} {host}")
    return 0


def watch(parsed: options.Parsed, tell: say.Log) -> int:
    """Print events of instances as they happen, until Ctrl-C."""
    with calls.connect() as client:
        known = {str(vm["name"]) for vm in homes.instances(client.call("vm.list", {})["vms"])}
        for name in parsed.words:
            if name not in known:
                raise homes.missing(name)
        if not known:
            tell.warning("No instances found.")
            return 0
        wanted = set(parsed.words)
        for event in client.events(0 if parsed.flag("history") else None):
            vm = event.get("vm")
            if not isinstance(vm, str) or (wanted and vm not in wanted):
                continue
            line = _event(event) if parsed.flag("json") else _told(event)
            output.out(line)
            sys.stdout.flush()
    return 0


def _event(event: Mapping[str, Any]) -> str:
    """Return an event as Lima's ``watch --json`` prints one; ``gaovm`` has the whole of ours."""
    payload = event.get("payload") or {}
    state = payload.get("state")
    status = {
        "running": state in ("running", "degraded", "interrupted"),
        "degraded": state == "degraded",
        "exiting": state in ("stopping", "stopped"),
    }
    error = payload.get("error")
    shown: dict[str, Any] = {key: value for key, value in status.items() if value}
    if isinstance(error, dict):
        shown["errors"] = [str(error.get("message"))]
    inner = {"time": event.get("ts"), "status": shown, "gaovm": dict(event)}
    return output.json_text({"instance": event["vm"], "event": inner})


def _told(event: Mapping[str, Any]) -> str:
    payload = event.get("payload") or {}
    word = payload.get("state") or event.get("type")
    return output.one_line(f"{event.get('ts')} {event['vm']} | {word}")


def screenshot(parsed: options.Parsed, tell: say.Log) -> int:
    """Write an instance's display to a PNG file."""
    words = ["display", "screenshot", str(parsed.word())]
    target = parsed.text("output")
    if target is not None:
        words += ["--output", target]
    return gaovm_main.run(words)


def completion(parsed: options.Parsed, tell: say.Log) -> int:
    """Print the script with which a shell completes ``limactl``."""
    shell = parsed.word()
    if shell not in _SHELLS:
        raise COMPLETION.mistake(f"{shell}: must be one of {', '.join(_SHELLS)}")
    from gaovm.cli.commands import completion as gaovm_completion

    output.out(gaovm_completion.script(f"lima-{shell}").rstrip("\n"))
    return 0


INFO = verb.Verb(
    "info",
    info,
    about="Print what there is, as JSON: version, templates, the default template with every\n"
    "value, kinds of VM.",
    flags=(options.Option("--yq", "print what yq makes of it", value="EXPR", many=True),),
    examples=("gaovm lima info --yq .limaHome",),
)

SHOW_SSH = verb.Verb(
    "show-ssh",
    show_ssh,
    about="Print how ssh reaches an instance.",
    words="INSTANCE",
    count=(1, 1),
    flags=(options.Option("-f, --format", "which form", value="FORM", choices=_FORMS),),
    examples=("gaovm lima show-ssh --format=config default",),
)

WATCH = verb.Verb(
    "watch",
    watch,
    about="Print what happens to instances, until Ctrl-C. With --json one object a line.",
    words="[INSTANCE...]",
    count=(0, 1000),
    flags=(
        options.Option("--json", "one object a line"),
        options.Option("--history", "begin with what is known of the past"),
        options.Option("--verbose", "no effect"),
    ),
    examples=("gaovm lima watch --json web",),
)

SCREENSHOT = verb.Verb(
    "screenshot",
    screenshot,
    about="Write what an instance's display shows to a PNG file.",
    words="INSTANCE",
    count=(1, 1),
    flags=(options.Option("-o, --output", "the file", value="FILE"),),
    examples=("gaovm lima screenshot -o web.png web",),
)

COMPLETION = verb.Verb(
    "completion",
    completion,
    about="Print the script with which a shell completes limactl, as an alias of gaovm lima.",
    words="bash|zsh|fish",
    count=(1, 1),
    examples=("source <(gaovm lima completion bash)",),
)
