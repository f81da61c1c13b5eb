"""``gaovm up``: make or start a VM, show what happens, and say where things are.

Ctrl-C before the agent answers undoes what this ``up`` began. Later it asks; without a terminal to
ask on, it keeps the VM.
"""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import calls, options, output, project_dir, target, waiting
from gaovm.cli.commands import listing, status
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gaovm.client import blocking


#: As ``project.lima.proxies`` has them, which is too much to load here.
PROXIES = (
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "FTP_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


def run(parsed: options.Parsed) -> int:
    """Bring a VM up and wait until it can be used."""
    wait = waiting.until_ready(parsed)
    given = parsed.word() or parsed.text("name") or ""
    with calls.connect() as client:
        method, params = request(client, parsed, wait)
        result = waiting.bring_up(client, method, params, parsed)
    for warning in result.get("warnings") or ():
        output.err(output.harmless(f"warning: {warning}"))
    if result["vm"].get("pending"):
        output.err(f"`{target.command('diff', given)}` shows what waits for the next start")
    if parsed.flag("json"):
        output.json_out(result)
    elif wait == "none" and not result.get("already"):
        vm, again = result["vm"], target.command("up", given)
        output.err(output.harmless(f"{vm['name']} is {vm['state']}; `{again}` waits for it"))
    elif not parsed.flag("quiet"):
        output.out(summary(result, given))
    return 0


def request(
    client: blocking.Client, parsed: options.Parsed, wait: str
) -> tuple[str, dict[str, Any]]:
    """Choose the call: ``vm.up`` for this project's VM, ``vm.start`` for another that exists.

    A NAME that is neither creates nothing; ``--name`` names a new VM of this project.

    Raises:
        errors.VmNotFound: no VM has the name that was given as a word.
    """
    project, word = project_dir.find_project(), parsed.word()
    if word is not None:
        name = target.vm_name(parsed)
        known = {vm["name"] for vm in client.call("vm.list", {})["vms"]}
        ours = project is not None and (
            name in target.here(client, project)
            if name in known
            else name == target.project_name(project)
        )
        if not ours:
            if name not in known:
                raise _unknown(client, name, project)
            return "vm.start", {"name": name, "wait": wait}
    if project is None and (parsed.text("name") or os.environ.get("VM_NAME")):
        return "vm.start", {"name": target.vm_name(parsed), "wait": wait}
    return "vm.up", _up_params(parsed, project or project_dir.need_project(), wait)


def _unknown(
    client: blocking.Client, name: str, project: project_dir.Project | None
) -> errors.VmNotFound:
    error = errors.VmNotFound(f"there is no VM {name}")
    error = calls.with_suggestion(client, name, error)
    if project is not None:
        error.actions += (errors.Action("make_vm_as", new_name=name),)
    return error


def _up_params(parsed: options.Parsed, project: project_dir.Project, wait: str) -> dict[str, Any]:
    given = parsed.word() if parsed.word() is not None else parsed.text("name")
    params = project_params(project, None if given is None else names.check(given))
    params["wait"] = wait
    return params


def project_params(project: project_dir.Project, name: str | None) -> dict[str, Any]:
    """Return the project's parameters for the daemon; without ``name`` its VM keeps its name."""
    params: dict[str, Any] = {
        "project_dir": project.directory,
        "config_path": project.config,
        "config_text": project.text(),
        "user": caller(),
    }
    if name is not None:
        params["name"] = name
    if os.environ.get("VM_NAME"):
        params["env_name"] = os.environ["VM_NAME"]
    return params


def caller() -> dict[str, Any]:
    """Return the user who runs gaovm; the guest gets the same name, uid and gid.

    Raises:
        errors.HostError: the uid has no name.
    """
    import pwd

    uid, gid = os.getuid(), os.getgid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as exc:
        raise errors.HostError(f"user {uid} has no entry in the user database") from exc
    proxies = {name: os.environ[name] for name in PROXIES if name in os.environ}
    return {
        "name": entry.pw_name,
        "uid": uid,
        "gid": gid,
        "comment": entry.pw_gecos.partition(",")[0],
        "home": os.environ.get("HOME") or entry.pw_dir,
        **({"proxies": proxies} if proxies else {}),
    }


def summary(result: Mapping[str, Any], given: str = "") -> str:
    """Write the last words of ``up``: state, mounts, ports, the file's message, what to do next.

    ``given`` is the name that the user gave.
    """
    vm = result["vm"]
    word = "was running already" if result.get("already") else "is up"
    spent = (vm.get("boot") or {}).get("ready_ms")
    took = f" (ready after {output.duration(spent / 1000)})" if spent else ""
    lines = [f"{vm['name']} {word}{'' if result.get('already') else took}"]
    for mount in vm.get("mounts") or ():
        location, point = mount.get("location"), mount.get("mount_point")
        place = listing.short_path(str(location))
        at = "" if location == point else f" at {point}"
        lines.append(f"  mount  {place}{at} ({mount.get('type')})")
    lines += [f"  port   {status.port_way(port)}" for port in vm.get("ports") or ()]
    message = str(vm.get("message") or "").strip()
    if message:
        lines += ["", *message.splitlines(), ""]
    if vm.get("paused"):
        lines.append(f"Next:  {target.command('resume', given)}, for it is paused")
    else:
        named = f"exec --name {given}" if given else "exec"
        lines.append(f"Next:  {target.command('shell', given)}   or   gaovm {named} -- COMMAND")
    return output.harmless("\n".join(lines))


UP = options.Command(
    "up",
    run,
    about="Make this project's VM from .lima/config.yaml, or start it; wait until it is ready.\n"
    "With the NAME of an existing VM, start that one. Ctrl-C undoes what this up began; once the\n"
    "agent has answered, it asks. An up that is cut off after that (a closed terminal) goes on.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.Option(
            "--name", "the VM's name (default: $VM_NAME, else DIRECTORY-dev)", value="NAME"
        ),
        waiting.WAIT,
        waiting.NO_WAIT,
        waiting.TIMEOUT,
        waiting.UNDO,
        waiting.KEEP,
        waiting.YES,
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm up", "gaovm up --wait=agent", "gaovm up --name web2 --timeout 10m"),
)
