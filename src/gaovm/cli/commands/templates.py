"""``gaovm template``: list, show, check and copy the files that a config is made from.

Needs no daemon. The reader of YAML is loaded only where a template is read as one.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import calls, options, output, project_dir
from gaovm.hostfacts import homes, templates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.project import config

_HEAD = ("NAME", "FROM")
_OURS = "gaovm"
#: How a word begins or ends that is a path and no name.
_PATHS = ("/", "./", "../", "~")
_ENDINGS = (".yaml", ".yml")
_STDOUT = "-"


class Source:
    """A template's text, and its locator: what its own relative locators are relative to."""

    __slots__ = ("locator", "text")

    def __init__(self, text: str, locator: str) -> None:
        self.text, self.locator = text, locator


def show_all(parsed: options.Parsed) -> int:
    """List the templates."""
    found = templates.listed(_home())
    if parsed.flag("json"):
        output.json_out([{"name": name, "path": path or None} for name, path in found])
    else:
        output.out(output.table(_HEAD, [(name, path or _OURS) for name, path in found]))
    return 0


def show(parsed: options.Parsed) -> int:
    """Print the text of a template."""
    output.out(output.harmless(_text(parsed, str(parsed.word()))).rstrip("\n"))
    return 0


def copy(parsed: options.Parsed) -> int:
    """Write a template to a file."""
    from pathlib import Path

    from gaovm.client import below

    text, target = _text(parsed, str(parsed.word())), str(parsed.word(1))
    if target == _STDOUT:
        output.out(output.harmless(text).rstrip("\n"))
        return 0
    project = project_dir.find_project()
    shared = project.directory if project else project_dir.working_directory()
    path = Path(project_dir.working_directory()) / target
    if (path.exists() or path.is_symlink()) and not parsed.flag("force"):
        raise errors.UsageError(f"{target} exists", remedy="give another name, or --force")
    try:
        # a guest may have laid links in the project, which are not followed
        below.write(path, text.encode(), (shared,))
    except OSError as exc:
        raise errors.HostError(f"{target}: {exc.strerror}") from exc
    output.out(f"wrote {output.harmless(target)}")
    return 0


def validate(parsed: options.Parsed) -> int:
    """Check templates as ``gaovm up`` would check the project file."""
    results = [_checked(word) for word in parsed.words]
    if parsed.flag("json"):
        output.json_out(results)
    else:
        for result in results:
            _print(result)
    return 0 if all(result["valid"] for result in results) else errors.ConfigError.exit_code


def _home() -> str:
    """Return the home, where the user's templates lie.

    Raises:
        errors.HostError, errors.PermissionMissing: it cannot be used.
    """
    home = calls.home()
    homes.check(home, write=False)
    return home


def _print(result: dict[str, Any]) -> None:
    for warning in result["warnings"]:
        output.err(output.harmless(f"warning: {warning}"))
    if result["valid"]:
        output.out(output.harmless(f"{result['template']}: OK"))
        return
    for problem in result["problems"]:
        output.err(output.harmless(problem["text"]))
        if problem.get("remedy"):
            output.err(output.harmless(f"  remedy: {problem['remedy']}"))


def _checked(word: str) -> dict[str, Any]:
    found: dict[str, Any] = {"template": word, "valid": True, "problems": [], "warnings": []}
    try:
        loaded = _load(word)
    except errors.CallerError as exc:
        found["valid"] = False
        found["problems"] = _problems(exc)
    else:
        found["warnings"] = list(loaded.warnings)
    return found


def _problems(error: errors.CallerError) -> list[dict[str, Any]]:
    """Return each problem of an error as data, with ``text``: its line for people."""
    listed = error.details.get("problems")
    if not listed:
        return [{"text": error.message, "message": error.message, "remedy": error.advice}]
    lines = error.message.splitlines()
    return [{"text": text, **each} for text, each in zip(lines, listed, strict=False)]


def _load(word: str) -> config.Loaded:
    """Read a template as the config of the current directory.

    Raises:
        errors.CallerError: it cannot be a config; the message names file, line and field.
    """
    from pathlib import Path

    from gaovm.cli.commands import up
    from gaovm.client import paths
    from gaovm.hostfacts import host, sources
    from gaovm.project import config, context, images, names

    source, directory = _source(word), project_dir.working_directory()
    who, name, home = up.caller(), names.of_directory(directory), _home()
    caller = context.Caller(
        name=who["name"], uid=who["uid"], gid=who["gid"], home=who["home"], comment=who["comment"]
    )
    loaded = config.load(
        source.text,
        source.locator,
        caller,
        directory,
        name,
        context.Host(arch=host.arch(), vm_dir=paths.vm_dir(home, name)),
        resolver=sources.Files(Path(home), directory),
    )
    images.check(loaded)
    return loaded


def _text(parsed: options.Parsed, word: str) -> str:
    """Return a template's text, with ``--embed`` that of the whole config."""
    source = _source(word)
    if not parsed.flag("embed"):
        return source.text
    from pathlib import Path

    from gaovm.hostfacts import sources
    from gaovm.project import config, problems
    from gaovm.project.lima import embedding, emitting

    directory, found = project_dir.working_directory(), problems.Findings(source.locator)
    files = sources.Files(Path(_home()), directory)
    root = config.parse(source.text, source.locator)
    whole = embedding.Embedder(files, found, str(Path.home())).embed(root, source.locator)
    found.finish()
    return emitting.emit(whole)


def _source(word: str) -> Source:
    """Find a template by name, ``template:NAME`` or path.

    Raises:
        errors.UsageError: there is none.
        errors.ConfigError: it is too large, or no UTF-8.
    """
    from pathlib import Path

    from gaovm.hostfacts import sources
    from gaovm.project.lima import embedding, locators

    directory = project_dir.working_directory()
    try:
        if word.startswith(_PATHS) or word.endswith(_ENDINGS):
            locator = str(Path(directory) / Path(word).expanduser())
            data, _ = sources.read(locator)
        else:
            locator = word if locators.is_template(word) else f"template:{word}"
            name = locators.template_file(locator)
            data = sources.template(Path(_home()), name, directory)
    except embedding.Unavailable as exc:
        raise errors.UsageError(f"{word}: {exc.reason}", remedy=exc.remedy) from exc
    except ValueError as exc:
        raise templates.missing(_home(), word) from exc
    return Source(project_dir.decoded(data, locator), locator)


_EMBED = options.Option("--embed", "with its bases and scripts, without comments")

LS = options.Command(
    "template ls",
    show_all,
    about="List the templates: GaoVM's own, and yours in $GAOVM_HOME/templates.\n"
    "A file there takes the place of one of GaoVM's with the same name. Files and directories\n"
    "that begin with _ are for bases, and not listed.",
    options=(options.JSON,),
    examples=("gaovm template ls", "gaovm init minimal"),
)

SHOW = options.Command(
    "template show",
    show,
    about="Print a template. SOURCE is its name, template:NAME, or the path of a file.",
    words="SOURCE",
    count=(1, 1),
    options=(_EMBED,),
    examples=("gaovm template show dev", "gaovm template show --embed .lima/config.yaml"),
)

VALIDATE = options.Command(
    "template validate",
    validate,
    about="Check templates or config files as gaovm up does, and make nothing. SOURCE is a name,\n"
    "template:NAME, or a path. Each problem has file, line, field and a remedy, also one in a\n"
    "base. Exit status 2: one of them is wrong.",
    words="SOURCE...",
    count=(1, 100),
    options=(options.JSON,),
    examples=("gaovm template validate .lima/config.yaml", "gaovm template validate dev --json"),
)

COPY = options.Command(
    "template copy",
    copy,
    about="Write a template to a file; - is standard output. With --embed the file needs no other.",
    words="SOURCE FILE",
    count=(2, 2),
    options=(_EMBED, options.Option("-f, --force", "replace a file that exists")),
    examples=(
        "gaovm template copy dev mine.yaml",
        "gaovm template copy --embed .lima/config.yaml whole.yaml",
    ),
)
