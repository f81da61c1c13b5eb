"""``caCerts`` -> the certificates that the guest trusts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.lima import embedding, locators
from gaovm.spec.guest import Trust

_BLOCK = re.compile(
    r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----\s(.*?)-----END (?:TRUSTED )?CERTIFICATE-----", re.S
)
#: DER's tag of a sequence, which a certificate is.
_SEQUENCE = 0x30
MAX_CERTIFICATES = 128
MAX_ALL_BYTES = 256 << 10
_COLUMNS = 64
_REMEDY = "paste the whole block, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"


def read(root: nodes.Table, context: Context, resolver: embedding.Resolver) -> Trust:
    """Read the certificates: those of ``files`` first, each once.

    Raises:
        embedding.Incomplete: the resolver lacks files as yet.
    """
    table = fields.table(root, "caCerts")
    files = [(node, _content(node, context, resolver)) for node in _scalars(table, "files")]
    if not resolver.complete():
        raise embedding.Incomplete
    texts = [(node, text) for node, text in files if text is not None]
    texts += [(node, node.text) for node in _scalars(table, "certs")]
    found: dict[str, None] = {}
    for node, text in texts:
        for certificate in _certificates(node, text, context):
            found[certificate] = None
    if len(found) > MAX_CERTIFICATES or sum(map(len, found)) > MAX_ALL_BYTES:
        what = f"more than {MAX_CERTIFICATES} certificates, or {MAX_ALL_BYTES >> 10} KiB of them"
        context.found.problem(table, what, remedy="take certificates out", path="caCerts")
    return Trust(
        certificates=tuple(found),
        remove_defaults=fields.boolean(table, "removeDefaults") is True,
    )


def _scalars(table: nodes.Table, key: str) -> list[nodes.Scalar]:
    node = fields.get(table, key)
    items = node.items if isinstance(node, nodes.Sequence) else ()
    return [item for item in items if isinstance(item, nodes.Scalar)]


def _content(node: nodes.Scalar, context: Context, resolver: embedding.Resolver) -> str | None:
    """Return the text of a file; a relative path is relative to the project's directory."""
    try:
        path = locators.absolute(node.text, context.project_dir, context.caller.home)
        if locators.scheme(path):
            raise ValueError("expected the path of a file")
        data = resolver.file(path)
        if len(data) > embedding.MAX_BYTES:
            raise ValueError(f"larger than {embedding.MAX_BYTES >> 10} KiB")
        return data.decode("ascii", "replace") if resolver.complete() else None
    except embedding.Unavailable as exc:
        what, remedy = f"cannot read `{node.text[:200]}`: {exc.reason}", exc.remedy
    except ValueError as exc:
        what, remedy = f"cannot read `{node.text[:200]}`: {exc}", "give the path of a PEM file"
    context.found.problem(node, what, remedy=remedy)
    return None


def _certificates(node: nodes.Scalar, text: str, context: Context) -> Iterator[str]:
    """Return each certificate of a text, in one form whatever the text's line ends are."""
    blocks = _BLOCK.findall(text)
    if not blocks:
        context.found.problem(node, "expected a PEM certificate", remedy=_REMEDY)
    for block in blocks:
        try:
            data = base64.b64decode("".join(block.split()), validate=True)
        except (ValueError, binascii.Error):
            data = b""
        if not data or data[0] != _SEQUENCE:
            what = "what stands between BEGIN and END is no certificate"
            context.found.problem(node, what, remedy=_REMEDY)
            return
        body = base64.b64encode(data).decode()
        lines = [body[at : at + _COLUMNS] for at in range(0, len(body), _COLUMNS)]
        whole = ("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----")
        yield "\n".join(whole) + "\n"
