"""``user``, ``env`` and what else is set up in the guest -> ``spec.guest``."""

from __future__ import annotations

import re

import msgspec

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.lima import embedding, proxies
from gaovm.project.names import hostname
from gaovm.project.sections import copies, provisioning, resolver, trust
from gaovm.spec.guest import Guest, User
from gaovm.spec.network import GATEWAY, Network

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}\Z")
_MAX_ID = 2**32 - 2
# Debian's first id for people; lower ids belong to system accounts
_FIRST_ID = 1000


def read_user(root: nodes.Table, context: Context) -> User:
    """Read the guest's account: the caller's name, uid and gid, home ``/home/NAME.guest``.

    Root stays root. ``user`` in the file overrides each part.
    """
    table = fields.table(root, "user")
    caller = context.caller
    name = _user_name(table, context)
    uid = fields.bounded(table, "uid", (0, _MAX_ID), context.found)
    if uid is None:
        uid = caller.uid
        if name == "root":
            uid = 0
        elif uid == 0:
            uid = _FIRST_ID
    if (uid == 0) != (name == "root"):
        context.found.problem(
            table,
            f"uid 0 and the name root belong together, found {name} with uid {uid}",
            remedy="give name and uid of one user, or neither",
        )
    gid = caller.gid if uid == caller.uid else uid
    comment = fields.text(table, "comment")
    user = User(
        name=name,
        uid=uid,
        gid=gid,
        home="/root" if uid == 0 else f"/home/{name}.guest",
        shell=_shell(table, context),
        comment=_comment(caller.comment if comment is None else comment),
        passwordless_sudo=fields.boolean(table, "passwordlessSudo") is not False,
    )
    return _with_home(table, user, context)


def _user_name(table: nodes.Table, context: Context) -> str:
    node = fields.scalar(table, "name")
    if node is not None and node.text:
        if not _USER.match(node.text):
            message = f"expected a user name (a-z, 0-9, _ and -), found {nodes.describe(node)}"
            context.found.problem(node, message, remedy="take user.name out: yours is taken")
        return node.text
    if _USER.match(context.caller.name):
        return context.caller.name
    context.found.warning(
        table,
        f"the name {context.caller.name!r} is not valid in the guest; the user there is `lima`",
        path="user.name",
    )
    return "lima"


def _shell(table: nodes.Table, context: Context) -> str:
    node = fields.scalar(table, "shell")
    if node is None or node.text == "":
        return "/bin/bash"
    if not node.text.startswith("/") or ":" in node.text or not node.text.isprintable():
        what = f"expected an absolute path, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy="write the whole path, such as /bin/bash")
    return node.text


def _comment(text: str) -> str:
    """Return a full name in the form that /etc/passwd can hold."""
    return "".join(char for char in text if char.isprintable() and char not in ":,")[:100].strip()


def _with_home(table: nodes.Table, user: User, context: Context) -> User:
    node = fields.scalar(table, "home")
    if node is None or node.text == "":
        return user
    home = context.path(node, context.guest_variables(user), user.home)
    if home is not None and ":" in home:
        what = "a home directory cannot hold a colon"
        context.found.problem(node, what, remedy="take the colon out")
    if home is None:
        return user
    return msgspec.structs.replace(user, home=home)


def read(
    root: nodes.Table,
    user: User,
    context: Context,
    files: embedding.Resolver,
    reached: Network,
) -> Guest:
    """Read everything that GaoVM sets up inside the guest.

    ``reached`` says what of the host the guest reaches.

    Raises:
        embedding.Incomplete: the resolver lacks files as yet.
    """
    return Guest(
        user=user,
        hostname=hostname(context.name),
        env=_with_proxies(root, read_env(root, context), context, host_access=reached.host_access),
        timezone=_timezone(root, context),
        hosts=resolver.read_hosts(root, context, opened=reached.opens_host),
        servers=resolver.read_servers(root, context),
        trust=trust.read(root, context, files),
        upgrade_packages=fields.boolean(root, "upgradePackages") is True,
        copies=copies.read(root, user, context),
        plain=fields.boolean(root, "plain") is True,
        provision=provisioning.read(root, user, context),
        probes=provisioning.read_probes(root, user, context),
    )


def _with_proxies(
    root: nodes.Table, env: dict[str, str], context: Context, *, host_access: bool
) -> dict[str, str]:
    """Add the caller's proxies, unless ``propagateProxyEnv`` is false."""
    wanted = fields.boolean(root, "propagateProxyEnv") is not False
    merged = proxies.merge(env, context.caller.proxies if wanted else {}, GATEWAY)
    if merged.of_host and not host_access:
        names = ", ".join(merged.of_host)
        what = f"{names}: the proxy is this machine's own, which is closed to the guest"
        what += " (vmOpts.gaovm.hostAccess opens it)"
        context.found.warning(root, what, path="propagateProxyEnv")
    return merged.env


def _timezone(root: nodes.Table, context: Context) -> str:
    """Return the file's time zone, else the host's; the empty text leaves the guest's."""
    node = fields.scalar(root, "timezone")
    if node is None:
        return context.host.timezone
    if node.text and not _ZONE.match(node.text):
        what = f"expected the name of a time zone, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy="write one such as Europe/Berlin")
    return node.text


def read_env(root: nodes.Table, context: Context) -> dict[str, str]:
    """Read ``env``: the environment of every command in the guest."""
    result = {}
    for key, node in fields.table(root, "env").entries.items():
        if not _VARIABLE.match(key):
            what = "expected the name of an environment variable"
            remedy = "use letters, digits and underscores, no digit first"
            context.found.problem(node, what, remedy=remedy)
        elif isinstance(node, nodes.Scalar):
            value = "" if node.is_null else node.text
            if "\0" in value or "\n" in value:
                what = "a value cannot hold a line break"
                context.found.problem(node, what, remedy="write the value on one line")
            result[key] = value
    return result
