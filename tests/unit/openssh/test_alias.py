from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.openssh import alias

HOME = "/home/ann/.gaovm"
SETTINGS = [("HostName", "gaovm-web"), ("User", "ann")]
FOREIGN = "# mine\nHost other\n    User me\n"


def vm(**ssh: bool) -> dict[str, Any]:
    return {"name": "web", "user": {"name": "ann"}, "ssh": ssh}


def options(home: str = HOME, **ssh: bool) -> list[tuple[str, str]]:
    return alias.options(vm(**ssh), home, ["/bin/gaovm"], (f"{home}/ssh/id", f"{home}/ssh/known"))


def test_what_the_config_does_not_allow_is_off_by_name() -> None:
    assert dict(options())["ForwardAgent"] == "no"
    assert dict(options())["ForwardX11"] == "no"
    assert dict(options(forward_agent=True))["ForwardAgent"] == "yes"
    trusted = dict(options(forward_x11=True, forward_x11_trusted=True))
    assert (trusted["ForwardX11"], trusted["ForwardX11Trusted"]) == ("yes", "yes")


def test_ssh_reads_the_block_as_it_is_meant(tmp_path: Path) -> None:
    home = f"{tmp_path}/it's 100% mine"
    file = tmp_path / "config"
    file.write_text(alias.put(FOREIGN, "web", home, options(home)))
    argv = ["ssh", "-F", str(file), "-G", "gaovm-web"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    assert found["user"] == "ann"
    assert found["hostkeyalias"] == "gaovm-web"
    assert found["stricthostkeychecking"] == "true"
    assert found["proxyusefdpass"] == "yes"
    assert found["forwardagent"] == "no"
    # ssh expands %% when it uses the value
    assert found["identityfile"].replace("%%", "%") == f"{home}/ssh/id"
    assert found["userknownhostsfile"].replace("%%", "%") == f"{home}/ssh/known"
    run = ["sh", "-c", f"printf '%s|' {found['proxycommand'].replace('%%', '%')}"]
    words = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert words == f"/bin/gaovm|ssh-proxy|--home|{home}|--pass-socket|web|"


def test_the_options_mean_the_same_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(alias.put("", "web", HOME, options()))
    by_file = ["ssh", "-F", str(file), "-G", "gaovm-web"]
    by_words = ["ssh", "-F", "none", *alias.arguments(options()), "-G", "gaovm-web"]
    said = [
        subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        for argv in (by_file, by_words)
    ]
    assert said[0].replace("host gaovm-web\n", "") == said[1].replace("host gaovm-web\n", "")


@pytest.mark.parametrize("home", ['/a"b', "/a\nb", "/a\\b", "/a${HOME}", "/a\0b"])
def test_a_path_that_the_file_cannot_hold_is_refused(home: str) -> None:
    with pytest.raises(errors.HostError, match="cannot hold"):
        options(home)


def test_writing_twice_changes_nothing_and_foreign_lines_stay() -> None:
    once = alias.put(FOREIGN, "web", HOME, SETTINGS)
    assert once.startswith(FOREIGN)
    assert alias.put(once, "web", HOME, SETTINGS) == once
    two = alias.put(once, "db", HOME, SETTINGS)
    assert alias.names(two, HOME) == ["web", "db"]
    gone = alias.without(two, lambda vm, home: (vm, home) == ("web", HOME))
    assert alias.names(gone, HOME) == ["db"]
    assert alias.without(gone, lambda *_: True) == FOREIGN


def test_another_home_with_the_same_name_takes_the_alias_over() -> None:
    text = alias.put("", "web", "/one", SETTINGS)
    text = alias.put(text, "web", "/two", SETTINGS)
    assert (alias.names(text, "/one"), alias.names(text, "/two")) == ([], ["web"])


def test_a_block_without_an_end_stays() -> None:
    torn = alias.block("web", HOME, SETTINGS).replace("# end gaovm\n", "") + FOREIGN
    assert alias.without(torn, lambda *_: True) == torn
    whole = alias.block("db", HOME, SETTINGS)
    assert alias.without(torn + whole, lambda *_: True) == torn


def test_only_our_header_is_empty() -> None:
    text = alias.put("", "web", HOME, SETTINGS)
    assert not alias.is_empty(text)
    assert alias.is_empty(alias.without(text, lambda *_: True))


def test_the_include_stands_before_every_host() -> None:
    line = alias.include_line("~/.ssh/gaovm.config")
    made = alias.include(FOREIGN, "~/.ssh/gaovm.config")
    assert made == f"{line}\n{FOREIGN}"
    assert alias.include(made, "~/.ssh/gaovm.config") == made
    # below a Host line it would hold for that host alone
    below = f"Host x\n  {line}\n"
    assert alias.include(below, "~/.ssh/gaovm.config").startswith(f"{line}\nHost x\n")
    commented = f"# first\n{line}\nMatch all\n"
    assert alias.include(commented, "~/.ssh/gaovm.config") == commented
    assert alias.exclude(made, "~/.ssh/gaovm.config") == FOREIGN
