"""Write ``docs/gaovm.1`` from the declarations of all commands and the table of variables."""

from __future__ import annotations

import sys

from gaovm import switches, version
from gaovm.cli import catalog, options, reference

_DESCRIPTION = """\
GaoVM makes a virtual machine for each project directory and takes care of it: it is made from
.lima/config.yaml, starts within seconds, has the project's files, and comes back after a crash.
A daemon, gaovmd, keeps the machines; it is started when it is needed.

Every command about a VM takes an optional NAME. Without it, $VM_NAME is used, else the VM of the
project: the nearest directory upwards with a .lima/config.yaml.

Results go to standard output, everything else to standard error. With --json the result is JSON,
and so is an error."""

_FILES = (
    (".lima/config.yaml", "what a project wants of its VM"),
    ("~/.gaovm", "the VMs, the images and the daemon's socket ($GAOVM_HOME)"),
    ("~/.cache/gaovm", "the parts of images ($GAOVM_CACHE)"),
)


def text() -> str:
    """Return the whole page, in the man macros."""
    lines = [
        f'.TH GAOVM 1 "" "GaoVM {version.VERSION}" "User Commands"',
        '.\\" Written by `python -m gaovm.cli.manpage > docs/gaovm.1`; a test compares.',
        ".SH NAME",
        "gaovm \\- a virtual machine for each project directory",
        ".SH SYNOPSIS",
        ".B gaovm",
        "COMMAND [options]",
        ".SH DESCRIPTION",
        *_paragraphs(_DESCRIPTION),
        ".SH COMMANDS",
    ]
    for name in catalog.COMMANDS:
        lines += _command(catalog.load(name))
    lines += [".SH EXIT STATUS", *_terms(reference.EXIT_STATUS)]
    lines += [".SH ENVIRONMENT", *_terms(_variables())]
    lines += [".SH FILES", *_terms(_FILES)]
    return "\n".join(lines) + "\n"


def _command(command: options.Command) -> list[str]:
    lines = [f".SS gaovm {escaped(command.name)}", ".nf", f"\\fB{escaped(command.usage())}\\fR"]
    lines += [".fi", *_paragraphs(command.about)]
    for option in command.options:
        names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in option.names)
        value = f" \\fI{escaped(option.value)}\\fR" if option.value else ""
        lines += [".TP", names + value, *_lines(option.text())]
    if command.examples:
        lines += [".PP", "Examples:", ".PP", ".nf", ".RS"]
        lines += [escaped(example) for example in command.examples]
        lines += [".RE", ".fi"]
    return lines


def _variables() -> list[tuple[str, str]]:
    found = []
    for switch in switches.USER:
        default = f" (default: {switch.default})" if switch.default else ""
        found.append((switch.name, f"{switch.about}{default}".replace("`", "")))
    return found


def _terms(pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> list[str]:
    lines = []
    for term, about in pairs:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", *_lines(about)]
    return lines


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for index, paragraph in enumerate(text.strip().split("\n\n")):
        lines += [".PP"] if index else []
        lines += _lines(paragraph)
    return lines


def _lines(text: str) -> list[str]:
    return [escaped(line.strip()) for line in text.splitlines()]


def escaped(text: str) -> str:
    """Quote text for roff, so that nothing in it acts as a request or an escape."""
    for plain, meant in (("\\", "\\e"), ("-", "\\-"), ("~", "\\(ti"), ("^", "\\(ha")):
        text = text.replace(plain, meant)
    text = "".join(char if ord(char) < 128 else f"\\[u{ord(char):04X}]" for char in text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(text())
