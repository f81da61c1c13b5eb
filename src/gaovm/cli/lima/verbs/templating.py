"""``gaovm lima validate`` and ``template``: check, copy and query templates."""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.builder import backends
from gaovm.cli import options, output, project_dir
from gaovm.cli.commands import up
from gaovm.cli.lima import homes, loading, querying, reading, say, verb
from gaovm.client import paths
from gaovm.hostfacts import host, sources
from gaovm.project import config, context, images

_CHECKED = "template"


def check(text: str, path: str, name: str = homes.DEFAULT) -> config.Loaded:
    """Check a text as a start of the instance would.

    Raises:
        errors.ConfigError: with every problem, its line and its path.
    """
    who, home, directory = up.caller(), paths.home(), project_dir.working_directory()
    loaded = config.load(
        text,
        path,
        context.Caller(
            name=who["name"],
            uid=who["uid"],
            gid=who["gid"],
            home=who["home"],
            comment=who["comment"],
        ),
        directory,
        name,
        context.Host(arch=host.arch(), vm_dir=paths.vm_dir(home, name)),
        resolver=sources.Files(Path(home), directory),
        own_mount=False,
    )
    images.check(loaded)
    return loaded


def validate(parsed: options.Parsed, tell: say.Log) -> int:
    """Check templates."""
    for word in parsed.words:
        template = reading.read(word)
        try:
            loaded = check(template.text, template.locator)
        except errors.CallerError as exc:
            exc.message = f"failed to validate YAML file `{word}`: {exc.message}"
            raise
        for warning in loaded.warnings:
            tell.warning(warning)
        tell.info(f"`{word}`: OK")
        if parsed.flag("fill"):
            output.out(output.harmless(filled(template)).rstrip("\n"))
    return 0


def filled(template: reading.Template) -> str:
    """Return a template with its bases and every default, as YAML."""
    loaded = check(template.text, template.locator)
    spec = loaded.spec
    vm = {
        "vm_type": spec.boot.backend or backends.find("").name,
        "arch": str(spec.boot.arch),
        "cpus": spec.processors.count,
        "memory_bytes": spec.memory.size_bytes,
        "disk_bytes": spec.disk.size_bytes,
        "user": {
            "name": spec.guest.user.name,
            "uid": spec.guest.user.uid,
            "home": spec.guest.user.home,
        },
    }
    data = output.json_text(loading.filled(loading.tree(loaded.root), vm))
    return querying.evaluate('... style=""', data, form="json")


def template(parsed: options.Parsed, tell: say.Log) -> int:
    """Run one of the verbs below ``template``."""
    verb, *words = parsed.words
    if verb in ("copy", "cp") and len(words) == 2:
        return _copy(words[0], words[1], parsed)
    if verb == "validate" and words:
        parsed.words = words
        return validate(parsed, tell)
    if verb == "yq" and len(words) == 2:
        text = filled(reading.read(words[0]))
        shown = querying.evaluate(words[1], text, color=say.on_terminal())
        output.out(shown.rstrip("\n"))
        return 0
    if verb == "url" and len(words) == 1:
        output.out(output.harmless(_url(words[0])))
        return 0
    raise TEMPLATE.mistake(f"cannot run `template {' '.join(parsed.words)[:80]}`")


def _copy(word: str, target: str, parsed: options.Parsed) -> int:
    wants = [key for key in ("embed", "embed-all", "fill") if parsed.flag(key)]
    if wants and parsed.flag("verbatim"):
        raise errors.UsageError(
            "--verbatim cannot be used with any of --embed, --embed-all, or --fill"
        )
    found = reading.read(word)
    text = found.text
    if "fill" in wants:
        text = filled(found)
    elif wants:
        text = reading.embedded(found)
    if target != reading.STDIN:
        Path(target).write_text(text, encoding="utf-8")
        return 0
    if say.on_terminal():
        text = querying.evaluate(".", text, color=True)
    output.out(text.rstrip("\n"))
    return 0


def _url(word: str) -> str:
    """Return the https URL that a locator stands for, as Lima's ``template url``."""
    kind, colon, rest = word.partition(":")
    if kind != "github" or not colon:
        return word
    path, _, branch = rest.removeprefix("//").partition("@")
    parts = path.split("/", 2)
    owner, repository = (
        (parts[0], parts[1]) if len(parts) > 1 and parts[1] else (parts[0], parts[0])
    )
    file = parts[2] if len(parts) > 2 and parts[2] else ".lima.yaml"
    if "." not in file.rpartition("/")[2]:
        file += ".yaml"
    place = f"{owner}/{repository}/{branch or 'HEAD'}/{file}"
    return f"https://raw.githubusercontent.com/{place}"


VALIDATE = verb.Verb(
    "validate",
    validate,
    about="Check templates as a start would, and make nothing.",
    words="TEMPLATE...",
    count=(1, 100),
    flags=(options.Option("--fill", "print each with its bases and every default"),),
    examples=("gaovm lima validate ./web.yaml template:dev",),
)

TEMPLATE = verb.Verb(
    "template",
    template,
    about="template copy SOURCE FILE   write a template to a file; - is standard output\n"
    "template validate SOURCE... check templates\n"
    "template yq SOURCE EXPR     print what yq makes of a template with every default\n"
    "template url LOCATOR        print the URL that a locator stands for",
    words="VERB SOURCE...",
    count=(1, 100),
    flags=(
        options.Option("--embed", "copy: with its bases and scripts"),
        options.Option("--embed-all", "copy: the same"),
        options.Option("--fill", "copy, validate: with every default"),
        options.Option("--verbatim", "copy: byte for byte"),
    ),
    examples=(
        "gaovm lima template copy --fill template:dev -",
        "gaovm lima template yq template:dev '.images[].location'",
    ),
)
