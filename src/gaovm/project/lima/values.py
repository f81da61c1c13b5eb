"""The values that Lima checks, with Lima's messages, in Lima's order.

Each problem carries Lima's own sentence (``field `PATH` MESSAGE``), besides our place and remedy.
What Lima allows and GaoVM cannot do is not checked here: the readers in ``sections`` refuse it.
"""

from __future__ import annotations

import re

from gaovm.project import fields, nodes, sizes
from gaovm.project.lima import params, portvalues, scripts, versions
from gaovm.project.lima.reporting import Report
from gaovm.project.problems import Findings

OSES = ("Linux", "Darwin", "FreeBSD", "Windows")
ARCHES = ("x86_64", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x")
MOUNT_TYPES = ("reverse-sshfs", "9p", "virtiofs", "wsl2")
SHELLS = ("cmd.exe", "powershell.exe", "pwsh.exe")
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_IDENTIFIER = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*\Z")
_IDENTIFIER_SHOWN = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"
_MAX_IDENTIFIER = 76
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}\Z")
_MAX_INTERFACE = 16
_SYSTEM = ("/", "/bin", "/dev", "/etc", "/home", "/opt", "/sbin", "/tmp", "/usr", "/var")


def check(root: nodes.Table, found: Findings) -> None:
    """Note every value that Lima refuses."""
    report = Report(found)
    _versions(root, report)
    _platform(root, report)
    _images(root, report)
    _sizes(root, report)
    _disks(root, report)
    _mounts(root, report)
    portvalues.check_ssh(root, report)
    _mount_type(root, report)
    scripts.check(root, report, windows=_is(root, "os", "Windows"))
    for entry in fields.tables(fields.table(root, "containerd"), "archives"):
        _file(entry, report)
    scripts.check_probes(root, report)
    portvalues.check(root, report)
    _copies(root, report)
    _resolver(root, report)
    _networks(root, report)
    params.check_values(root, found)
    _user(root, report)


def _is(root: nodes.Table, key: str, word: str) -> bool:
    return fields.text(root, key) == word


def _versions(root: nodes.Table, report: Report) -> None:
    node = fields.scalar(root, "minimumLimaVersion")
    refusal = None if node is None else versions.refusal(node.text)
    if node is not None and refusal is not None:
        report.sentence(node, refusal[0], refusal[1])


def _platform(root: nodes.Table, report: Report) -> None:
    guest_os = fields.scalar(root, "os")
    if guest_os is not None and guest_os.text not in (*OSES, "", "default"):
        listed = " ".join(f"`{name}`" for name in OSES)
        report.field(
            guest_os, f"must be one of [{listed}]; got `{_short(guest_os)}`", "write os: Linux"
        )
    _arch(root, report)


def _arch(table: nodes.Table, report: Report) -> None:
    node = fields.scalar(table, "arch")
    if node is not None and node.text not in (*ARCHES, "", "default"):
        what = f"must be one of [{' '.join(ARCHES)}]; got `{_short(node)}`"
        remedy = "take it out: the host's is meant then"
        report.sentence(node, f"field `arch` {what}", remedy, message=what)


def _images(root: nodes.Table, report: Report) -> None:
    node = fields.get(root, "images")
    if node is None or (isinstance(node, nodes.Sequence) and not node.items):
        example = 'for example: images: [{location: "debian:12"}]'
        report.field(root if node is None else node, "must be set", example, path="images")
    for image in fields.tables(root, "images"):
        _file(image, report)
        for key in ("kernel", "initrd"):
            if fields.get(image, key) is None:
                continue
            part = fields.table(image, key)
            _file(part, report)
            ours, theirs = fields.text(part, "arch"), fields.text(image, "arch")
            if ours and theirs and ours != theirs and ours in ARCHES:
                what = f"has unexpected architecture `{ours}`, must be `{theirs}`"
                node = part.entries["arch"]
                lima = f"{part.path} {what}"
                report.sentence(node, lima, "give both the same arch", message=what)


def _file(entry: nodes.Table, report: Report) -> None:
    _arch(entry, report)
    node = fields.scalar(entry, "digest")
    if node is None or not node.text:
        return
    algorithm, _, digits = node.text.partition(":")
    why = ""
    if not re.fullmatch(r"[A-Za-z0-9_+.-]+:[0-9a-zA-Z]+", node.text):
        why = "invalid checksum digest format"
    elif algorithm not in _DIGITS:
        why = "unsupported digest algorithm"
    elif len(digits) != _DIGITS[algorithm]:
        why = "invalid checksum digest length"
    elif not re.fullmatch("[0-9a-f]+", digits):
        why = "invalid checksum digest format"
    if why:
        report.field(
            node,
            f"is invalid: {_short(node, 150)}: {why}",
            "write sha256: and the 64 hex digits that the publisher lists",
        )


def _sizes(root: nodes.Table, report: Report) -> None:
    for key in ("memory", "disk"):
        node = fields.scalar(root, key)
        if node is not None and node.text:
            _size(node, report)


def _size(node: nodes.Scalar, report: Report) -> None:
    try:
        sizes.parse_as_lima(node.text)
    except ValueError:
        what = f"has an invalid value: invalid size: '{_short(node)}'"
        report.field(node, what, "write a number and its unit, such as 8GiB")


def _disks(root: nodes.Table, report: Report) -> None:
    node = fields.get(root, "additionalDisks")
    for item in node.items if isinstance(node, nodes.Sequence) else ():
        where = f"{item.path}.name"
        name = item if isinstance(item, nodes.Scalar) else None
        if isinstance(item, nodes.Table):
            name = fields.scalar(item, "name")
        why = _identifier("" if name is None else name.text)
        if why:
            report.sentence(
                name or item,
                f"field `{where} is invalid`: {why}",
                "name the disk with letters and digits, with single . _ - between them",
                path=where,
                message=f"is invalid: {why}",
            )


def _identifier(text: str) -> str:
    if not text:
        return "identifier must not be empty"
    if len(text) > _MAX_IDENTIFIER:
        limit = f"greater than maximum length ({_MAX_IDENTIFIER} characters)"
        return f"identifier `{text[:20]}…` {limit}"
    if _IDENTIFIER.match(text):
        return ""
    return f"identifier `{text}` must match `{_IDENTIFIER_SHOWN}`"


def _mounts(root: nodes.Table, report: Report) -> None:
    for entry in fields.tables(root, "mounts"):
        node = fields.scalar(entry, "location")
        text = "" if node is None else node.text
        # Lima takes no relative path; ours may be relative to the project if they begin with a dot
        if not text.startswith(("/", "~", "{{", "./", "../")) and text not in (".", ".."):
            what = f"must be an absolute path, got `{text[:60]}`"
            where = fields.below(entry, "location")
            report.sentence(
                node or entry,
                f"field `{where}` {what}",
                "write the whole path, or one that begins with ~/ or ./",
                path=where,
                message=None if text else "must be set",
            )
        point = fields.scalar(entry, "mountPoint")
        if point is not None and point.text in _SYSTEM:
            what = "must not be a system path such as /etc or /usr"
            report.field(point, what, "mount it below /mnt or at its own path")
        msize = fields.scalar(fields.table(entry, "9p"), "msize")
        if msize is not None and msize.text:
            _size(msize, report)


def _mount_type(root: nodes.Table, report: Report) -> None:
    node = fields.scalar(root, "mountType")
    if node is None or node.text in ("", "default"):
        return
    remedy = "leave mountType out: what works here is then taken"
    if node.text not in MOUNT_TYPES:
        one, two, three, four = (f"`{name}`" for name in MOUNT_TYPES)
        what = f"must be {one} or {two} or {three}, or {four}, got `{_short(node)}`"
        report.field(node, what, remedy)
    refused = fields.get(root, "mountTypesUnsupported")
    items = refused.items if isinstance(refused, nodes.Sequence) else ()
    names = [item.text for item in items if isinstance(item, nodes.Scalar)]
    if node.text in names:
        listed = " ".join(names)
        what = f"must not be one of [{listed}] (`mountTypesUnsupported`), got `{node.text}`"
        report.field(node, what, remedy)


def _copies(root: nodes.Table, report: Report) -> None:
    for number, entry in enumerate(fields.tables(root, "copyToHost")):
        for key in ("guest", "host"):
            node = fields.scalar(entry, key)
            if node is not None and node.text and not node.text.startswith(("/", "{{")):
                what = f"must be an absolute path, but is `{_short(node)}`"
                report.field(
                    node, what, "write the whole path", sentence=f"CopyToHost[{number}].{key}"
                )


def _resolver(root: nodes.Table, report: Report) -> None:
    servers = fields.get(root, "dns")
    enabled = fields.boolean(fields.table(root, "hostResolver"), "enabled")
    if isinstance(servers, nodes.Sequence) and servers.items and enabled is not False:
        report.field(
            servers,
            "must be empty when field `HostResolver.Enabled` is true",
            "add hostResolver: {enabled: false}, or take dns out",
        )


def _networks(root: nodes.Table, report: Report) -> None:
    seen: dict[str, str] = {}
    for number, entry in enumerate(fields.tables(root, "networks")):
        path = f"networks[{number}]"
        _attachment(entry, path, report)
        mac = fields.scalar(entry, "macAddress")
        if mac is not None and mac.text and not _MAC.match(mac.text):
            what = f"must be a 48 bit (6 bytes) MAC address; found `{_short(mac)}`"
            report.field(mac, what, "write it as 52:55:55:12:34:56, or take it out")
        node = fields.scalar(entry, "interface")
        name = node.text if node is not None and node.text else f"lima{number}"
        where = fields.below(entry, "interface")
        size = len(name.encode())
        remedy = "name it lima0, lima1 and so on, each once"
        if size >= _MAX_INTERFACE:
            what = f"must be less than 16 bytes, but is {size} bytes: `{name[:60]}`"
            report.field(node or entry, what, remedy, path=where)
        elif any(char in name for char in " \t\n/"):
            what = "must not contain whitespace or slashes"
            report.field(node or entry, what, remedy, path=where)
        elif name == "eth0":
            what = "must not be set to `eth0` because it is reserved for slirp"
            report.field(node or entry, what, remedy, path=where)
        elif name in seen:
            what = f"value `{name}` has already been used by field `{seen[name]}.interface`"
            report.field(node or entry, what, remedy, path=where)
        seen.setdefault(name, path)


def _attachment(entry: nodes.Table, path: str, report: Report) -> None:
    """Check that a network is attached in exactly one way."""
    ways = [key for key in ("lima", "socket") if fields.text(entry, key)]
    if fields.boolean(entry, "vzNAT"):
        ways.append("vzNAT")
    if not ways:
        what = f"field `{path}.lima` or  field `{path}.socket must be set"
        message = "`lima` or `socket` must be set"
        report.sentence(entry, what, "take the network out", path=path, message=message)
    elif len(ways) > 1:
        one, other = ways[:2]
        what = f"and field `{path}.{other}` are mutually exclusive"
        report.field(entry.entries[one], what, f"take {other} out")


def _user(root: nodes.Table, report: Report) -> None:
    shell = fields.scalar(fields.table(root, "user"), "shell")
    if shell is None or shell.text in ("", *SHELLS) or not _is(root, "os", "Windows"):
        return
    what = f"must be one of [{' '.join(SHELLS)}] for Windows guest, got `{_short(shell)}`"
    report.field(shell, what, "take user.shell out")


def _short(node: nodes.Scalar, limit: int = 60) -> str:
    return node.text if len(node.text) <= limit else node.text[:limit] + "…"
