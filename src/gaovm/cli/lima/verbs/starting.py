"""``gaovm lima create`` and ``start``: make instances from templates, and start them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.builder import backends
from gaovm.cli import calls, options, output, waiting
from gaovm.cli.commands import up
from gaovm.cli.lima import editflags, homes, instances, reading, say, sshfile, verb
from gaovm.client import below, blocking
from gaovm.project import names

_BEFORE = "--name"
_TIMEOUT = "10m"


def create(parsed: options.Parsed, tell: say.Log) -> int:
    """Make an instance, and do not start it."""
    if _listed(parsed):
        return 0
    word = parsed.word()
    with calls.connect() as client:
        name, template = _template(client, parsed, word, tell)
        if template is None:
            raise errors.NameTaken(f"instance `{name}` already exists")
        make(client, homes.place(name), text_of(parsed, template, tell), tell)
    tell.info(f"Run `limactl start {name}` to start the instance.")
    return 0


def start(parsed: options.Parsed, tell: say.Log) -> int:
    """Start an instance, and make it first where there is none."""
    if _listed(parsed):
        return 0
    with calls.connect() as client:
        name, template = _template(client, parsed, parsed.word(), tell)
        vm = find(client, name)
        if template is not None:
            make(client, homes.place(name), text_of(parsed, template, tell), tell)
        else:
            tell.info(f"Using the existing instance `{name}`")
            if vm is not None and vm["state"] in ("running", "degraded"):
                tell.info(
                    f"The instance `{name}` is already running. "
                    f"Run `{shell_command(name)}` to open the shell."
                )
                return 0
            change(name, vm, parsed, tell)
        begin(client, name, parsed, tell)
    return 0


def _listed(parsed: options.Parsed) -> bool:
    if parsed.flag("list-templates"):
        for name in reading.listed_names():
            output.out(name)
    if parsed.flag("list-drivers"):
        for row in backends.BACKENDS:
            if row.present:
                output.out(row.name)
    return parsed.flag("list-templates") or parsed.flag("list-drivers")


def _template(
    client: blocking.Client, parsed: options.Parsed, word: str | None, tell: say.Log
) -> tuple[str, reading.Template | None]:
    """Return the instance's name, and its template; None: the instance exists.

    Raises:
        errors.UsageError: the words mean no instance and no template.
    """
    given = parsed.text("name")
    if given is not None:
        names.check(given)
    if word is None or reading.is_name(word):
        name = word or given or homes.default_name()
        if word is not None and given is not None and given != word:
            raise errors.UsageError(
                f"instance name `{word}` and CLI flag --name=`{given}` cannot be specified together"
            )
        if exists(client, name):
            return name, None
        if word is not None and word != homes.DEFAULT:
            tell.info(
                f"Creating an instance `{name}` from template:default (Not from template:{name})"
            )
            tell.warning(
                "This form is deprecated. "
                f"Use `limactl create --name={name} template:default` instead"
            )
        return name, reading.default()
    if word == reading.STDIN and given is None:
        raise errors.UsageError(
            "must pass instance name with --name when reading template from stdin"
        )
    if word == reading.STDIN and parsed.flag("tty"):
        raise errors.UsageError("cannot use --tty=true when reading template from stdin")
    template = reading.read(word)
    name = names.check(given or template.name)
    if exists(client, name):
        raise errors.NameTaken(f"instance `{name}` already exists")
    return name, template


def find(client: blocking.Client, name: str) -> dict[str, Any] | None:
    """Return the status of an instance's VM; None: there is none."""
    for vm in homes.instances(client.call("vm.list", {})["vms"]):
        if vm["name"] == name:
            return dict(vm)
    return None


def need(client: blocking.Client, name: str) -> dict[str, Any]:
    """Return the status of an instance's VM.

    Raises:
        errors.VmNotFound: there is none.
    """
    vm = find(client, name)
    if vm is None:
        raise homes.missing(name)
    return vm


def exists(client: blocking.Client, name: str) -> bool:
    """Tell whether there is an instance: a VM, or a directory that a ``create`` left."""
    vm = find(client, name)
    if vm is not None and is_hollow(vm):
        client.call("vm.destroy", {"name": name})
        vm = None
    return vm is not None or homes.place(name).exists()


def is_hollow(vm: dict[str, Any]) -> bool:
    """Tell whether somebody removed an instance's directory, and its VM never had a disk.

    For Lima an instance is gone with its directory. A VM with a disk stays until it is deleted by
    name: the directory may only be on a file system that is not mounted.
    """
    gone = homes.is_own(vm) and not os.path.lexists(str(vm["project"]))
    return gone and not vm["protected"] and not has_disk(vm)


def has_disk(vm: dict[str, Any]) -> bool:
    """Tell whether a VM was started far enough to have a disk."""
    return (Path(vm["dir"]) / "disk.qcow2").exists()


def text_of(parsed: options.Parsed, template: reading.Template, tell: say.Log) -> str:
    """Return the config of a new instance: the template with its bases, changed by the flags."""
    for flag in ("image-variant", "arch-variant"):
        if parsed.flag(flag):
            tell.warning(f"`--{flag}` has no effect: GaoVM takes the first image that fits")
    words = editflags.words(parsed)
    return reading.changed(reading.embedded(template), template.locator, words)


def make(client: blocking.Client, place: homes.Place, text: str, tell: say.Log) -> None:
    """Make an instance: its directory, and its VM in the daemon.

    Whoever names a template on the command line approves what it reaches. A failure leaves nothing.

    Raises:
        errors.ConfigError: the text is no config; every problem has its line.
        errors.NameTaken: another directory's VM has this name.
    """
    directory = Path(place.directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write(place, text)
        (directory / homes.VERSION).write_text(instances.LIMA_VERSION, encoding="utf-8")
        result = approved(client, "vm.create", file_params(place, text), tell)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    for warning in result.get("warnings") or ():
        tell.warning(warning)


def write(place: homes.Place, text: str) -> None:
    """Replace an instance's config file, whole or not at all."""
    below.write(Path(place.config), text.encode(), (place.directory,))


def approved(
    client: blocking.Client, method: str, params: dict[str, Any], tell: say.Log
) -> dict[str, Any]:
    """Make a call about a file that a person just gave, and approve what it reaches."""
    while True:
        try:
            result: dict[str, Any] = client.call(method, params)
        except errors.ApprovalNeeded as error:
            digest = error.details.get("digest")
            if not isinstance(digest, str) or params.get("approve") == digest:
                raise
            for line in error.message.splitlines()[1:]:
                tell.info(f"the instance reaches: {line.strip(' +')}")
            params["approve"] = digest
        else:
            return result


def file_params(place: homes.Place, text: str) -> dict[str, Any]:
    """Return the parameters that describe an instance's file to the daemon."""
    return {
        "project_dir": place.directory,
        "config_path": place.config,
        "config_text": text,
        "user": up.caller(),
        "name": place.name,
    }


def change(name: str, vm: dict[str, Any] | None, parsed: options.Parsed, tell: say.Log) -> None:
    """Change an existing instance's file by the flags that ``start`` was given."""
    for flag in editflags.ONLY_NEW:
        if parsed.flag(flag):
            tell.warning(f"`--{flag}` is not applicable to an existing instance")
    words = editflags.words(parsed, leave_out=editflags.ONLY_NEW)
    if not words:
        return
    if vm is not None and not homes.is_own(vm):
        raise errors.UsageError(
            f"the config of `{name}` is its project's file",
            remedy=f"edit {vm['config_path']}, or gaovm set {name} KEY=VALUE",
        )
    place = homes.place(name, vm)
    text = Path(place.config).read_text(encoding="utf-8")
    write(place, reading.changed(text, place.config, words))


def begin(client: blocking.Client, name: str, parsed: options.Parsed, tell: say.Log) -> None:
    """Start an instance that exists, and say that it is ready.

    An own instance starts with its file as it is now; a project's VM with the config of its last
    ``up``.
    """
    method, params = "vm.start", {"name": name}
    place = homes.place(name, find(client, name))
    if place.exists():
        text = Path(place.config).read_text(encoding="utf-8")
        method, params = "vm.up", file_params(place, text)
    tell.info(f"Starting the instance `{name}`")
    parsed.values.setdefault("timeout", [_TIMEOUT])
    result = waiting.bring_up(client, method, {**params, "wait": "ready"}, parsed)
    for warning in result.get("warnings") or ():
        tell.warning(warning)
    if method == "vm.up":
        sshfile.write(place)
    tell.info(f"READY. Run `{shell_command(name)}` to open the shell.")
    message = str(result["vm"].get("message") or "").strip()
    if message:
        tell.info(f"Message from the instance `{name}`:")
        output.out(output.harmless(message))


def shell_command(name: str) -> str:
    """Return the command that a person types next."""
    return "lima" if name == homes.default_name() else f"limactl shell {name}"


_START_FLAGS = (
    options.Option(
        "--timeout", "give up after this time (default: 10m)", value="TIME", kind="duration"
    ),
    options.Option("--foreground", "no effect: the daemon keeps the VM"),
    options.Option("--progress", "no effect: progress is always shown"),
)
_EXAMPLES = (
    "gaovm lima create --name=web template:dev",
    "gaovm lima start --cpus=2 --memory=2 ./web.yaml",
    "gaovm lima create --name=web --set '.ssh.forwardAgent = true' - <web.yaml",
)
_SOURCES = "TEMPLATE is a file, an https URL, template:NAME, an image, or - for standard input."

CREATE = verb.Verb(
    "create",
    create,
    about=f"Make an instance from a template, and do not start it.\n{_SOURCES}\n"
    "Without one the instance is called default and made from template:default.",
    words="[TEMPLATE]",
    count=(0, 1),
    flags=(*editflags.CREATE, *editflags.EDIT),
    examples=_EXAMPLES,
)

START = verb.Verb(
    "start",
    start,
    about="Start an instance, a project's VM too. What is no instance yet is made first, and a\n"
    f"TEMPLATE can stand in its place.\n{_SOURCES}",
    words="[INSTANCE]",
    count=(0, 1),
    flags=(*_START_FLAGS, *editflags.CREATE, *editflags.EDIT),
    examples=("gaovm lima start", "gaovm lima start web", *_EXAMPLES[1:2]),
)
