"""Generate ``docs/lima.md``, what becomes of each field of Lima's format, from the tables."""

from __future__ import annotations

from gaovm.project import support
from gaovm.project.lima import embedding, versions

_HEAD = """\
# Lima's format, field by field

Generated from `gaovm.project.schema` and `gaovm.project.support`;
`pytest tests/architecture --regenerate` rewrites it.

GaoVM reads the format of Lima {version}. It checks what Lima checks, with Lima's words, and refuses
unknown fields. A field works, or GaoVM warns of it by name, or refuses the file: it ignores none in
silence. A field that asks for nothing (`false`, `0`, an empty list) gives no warning.
[config.md](config.md) describes the fields that work, and `vmOpts.gaovm`.

## Several files

- `base` names one file or a list of files, each as a locator or as `{{url, digest}}`. GaoVM embeds
  them depth first. What the file itself says stays, and a base adds what is not there. Lists
  grow at their end. `provision` and `probes` grow at their beginning, so a base's scripts run
  first. Disks, mounts and networks with the same `name`, `mountPoint` or `interface` become one
  entry. The name `*` means all entries before it. The higher `minimumLimaVersion` counts.
- `provision[].file` and `probes[].file` name a script.
- A relative locator is relative to the file that has it, and may not hold `..`. `template:NAME` is
  `$GAOVM_HOME/templates/NAME.yaml`, else a template of GaoVM's own.
- GaoVM embeds each base once, at most {depth} deep, and at most {files} files with {size} KiB
  each. A file that names itself, or one that names it, is an error.
- GaoVM asks before it takes a file outside the project over for the first time, because a guest
  can write the project's file. Its own directory is closed to paths, but for `templates`.
- `$GAOVM_HOME/_config/base.yaml` is a base of every file, `default.yaml` fills what a file leaves
  open, and `override.yaml` wins over it, as in Lima's own `_config`.

An error names the file and the line that caused it, also in a base:

    /home/ann/web/.lima/common.yaml:3: portForwards[0].hostPort: must be < 65536
      remedy: write a port from 1 to 65535

## Fields

| field | GaoVM | limits, or why it has no effect |
|---|---|---|
"""


def render_markdown() -> str:
    """``docs/lima.md``."""
    head = _HEAD.format(
        version=versions.LIMA,
        depth=embedding.MAX_DEPTH,
        files=embedding.MAX_FILES,
        size=embedding.MAX_BYTES >> 10,
    )
    rows = [f"| `{path}` | {level} | {note} |" for path, level, note in support.rows()]
    return head + "\n".join(rows) + "\n"
