"""``gaovm lima edit`` and ``clone``: change the config of an instance, or of a template's file."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from gaovm import errors
from gaovm.cli import calls, options, output
from gaovm.cli.lima import editflags, homes, instances, reading, say, verb
from gaovm.cli.lima.verbs import starting, templating
from gaovm.client import blocking
from gaovm.project import names

_REJECTED = "lima.REJECTED.yaml"
_HEADER = (
    "# Please edit the following configuration for Lima instance `{}`\n"
    "# and an empty file will abort the edit.\n\n"
)


def edit(parsed: options.Parsed, tell: say.Log) -> int:
    """Change an instance's config, or a file, by flags or in an editor."""
    word = parsed.word() or homes.default_name()
    if not reading.is_name(word):
        return _edit_file(word, parsed, tell)
    with calls.connect() as client:
        vm = starting.find(client, word)
        place = homes.place(word, vm)
        if vm is None and not place.exists():
            raise errors.VmNotFound(f"instance `{word}` not found")
        if vm is not None and instances.status(vm) == instances.RUNNING:
            raise errors.StateConflict("cannot edit a running instance")
        if vm is not None and not homes.is_own(vm):
            raise errors.UsageError(
                f"the config of `{word}` is its project's file",
                remedy=f"edit {vm['config_path']}, or gaovm set {word} KEY=VALUE",
            )
        before = Path(place.config).read_text(encoding="utf-8")
        after = _edited(before, word, place.config, parsed, tell)
        if after is None:
            return 0
        _check(after, place.config)
        starting.write(place, after)
        _take_over(client, place, after, tell)
        tell.info(f"Instance `{word}` configuration edited")
        if parsed.flag("start"):
            starting.begin(client, word, parsed, tell)
    return 0


def _edit_file(word: str, parsed: options.Parsed, tell: say.Log) -> int:
    """Change a file that is no instance's."""
    template = reading.read(word)
    if not Path(template.locator).is_file():
        raise errors.UsageError(
            f"{word} is no file of yours", remedy=f"gaovm lima template copy {word} FILE"
        )
    after = _edited(template.text, word, template.locator, parsed, tell)
    if after is not None:
        _check(after, template.locator)
        Path(template.locator).write_text(after, encoding="utf-8")
        tell.info(f"File `{word}` edited")
    return 0


def _edited(before: str, name: str, path: str, parsed: options.Parsed, tell: say.Log) -> str | None:
    """Return the changed text; None: there is nothing to change."""
    words = editflags.words(parsed)
    after = reading.changed(before, path, words) if words else in_editor(before, name)
    if not after.strip():
        tell.info("Aborting, as requested by saving the file with empty content")
        return None
    if after == before:
        tell.info("Aborting, no changes made to the instance")
        return None
    return after


def in_editor(text: str, name: str) -> str:
    """Let a person edit a text, in ``$VISUAL``, ``$EDITOR`` or vi; return it without our header.

    Raises:
        errors.UsageError: there is no editor, or it failed.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    header = _HEADER.format(name)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="lima-", encoding="utf-8") as file:
        file.write(header + text)
        file.flush()
        try:
            done = subprocess.run([*shlex.split(editor), file.name], check=False)
        except (OSError, ValueError) as exc:
            raise errors.UsageError(
                f"could not open the editor {editor}: {exc}",
                remedy="set EDITOR, or change the config by flags",
            ) from exc
        if done.returncode != 0:
            raise errors.UsageError(f"the editor {editor} ended with {done.returncode}")
        # an editor may have put another file in its place
        after = Path(file.name).read_text(encoding="utf-8")
    return after.removeprefix(header)


def _check(text: str, path: str) -> None:
    """Keep a text that is no config for the person who wrote it, and refuse it."""
    try:
        templating.check(text, path)
    except errors.ConfigError:
        rejected = Path.cwd() / _REJECTED
        try:
            rejected.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise errors.HostError(f"{rejected}: {exc.strerror}") from exc
        output.err(f"the YAML is invalid, saved the buffer as {_REJECTED}")
        raise


def _take_over(client: blocking.Client, place: homes.Place, text: str, tell: say.Log) -> None:
    """Let the daemon know the new config, so that lists show it and the next start applies it."""
    params = {**starting.file_params(place, text), "update": True}
    starting.approved(client, "vm.create", params, tell)


def clone(parsed: options.Parsed, tell: say.Log) -> int:
    """Make an instance with the config of another."""
    old, new = parsed.words
    names.check(new)
    with calls.connect() as client:
        vm = starting.find(client, old)
        if vm is None:
            raise errors.VmNotFound(f"instance `{old}` not found")
        if starting.exists(client, new):
            raise errors.NameTaken(f"instance `{new}` already exists")
        if not homes.is_own(vm):
            raise errors.UsageError(f"`{old}` is the VM of a project", remedy="copy the project")
        if starting.has_disk(vm):
            raise errors.StateConflict(
                f"instance `{old}` was started: its disk cannot be copied yet",
                remedy="make another instance from the same template",
            )
        path = homes.place(old, vm).config
        text = Path(path).read_text(encoding="utf-8")
        starting.make(
            client, homes.place(new), reading.changed(text, path, editflags.words(parsed)), tell
        )
        if parsed.flag("start"):
            starting.begin(client, new, parsed, tell)
    return 0


EDIT = verb.Verb(
    "edit",
    edit,
    about="Change the config of a stopped instance, or a template's file in its place: by the\n"
    "flags, else in $VISUAL, $EDITOR or vi. The next start applies it.",
    words="[INSTANCE]",
    count=(0, 1),
    flags=(options.Option("--start", "start the instance then"), *editflags.EDIT),
    examples=("gaovm lima edit web", "gaovm lima edit web --cpus 4 --set '.memory = \"2GiB\"'"),
)

CLONE = verb.Verb(
    "clone",
    clone,
    about="Make an instance with the config of another, as long as that one was never started.",
    words="OLD NEW",
    count=(2, 2),
    flags=(options.Option("--start", "start the new instance then"), *editflags.EDIT),
    examples=("gaovm lima clone web web2",),
)
