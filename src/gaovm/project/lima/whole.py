"""The whole config of a file: its bases and scripts embedded, the user's defaults around it."""

from __future__ import annotations

from gaovm.project import nodes
from gaovm.project.lima import embedding, layers, params
from gaovm.project.problems import Findings


def read(
    root: nodes.Table,
    locator: str,
    home: str,
    resolver: embedding.Resolver,
    found: Findings,
    trees: dict[str, nodes.Table] | None = None,
) -> nodes.Table:
    """Return the tree that Lima would work with. ``locator``: the file's absolute path.

    What cannot be embedded is noted in ``found``.

    Raises:
        embedding.Incomplete: the resolver lacks files as yet.
    """
    embedder = embedding.Embedder(resolver, found, home, trees=trees)
    tree = embedder.embed(root, locator)
    if not resolver.complete():
        raise embedding.Incomplete
    # Before the user's defaults join it: a param must be used by the file that has it.
    params.check_use(tree, found)
    return layers.mix(tree, embedder.layer("default.yaml"), embedder.layer("override.yaml"))
