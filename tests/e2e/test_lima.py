"""``gaovm lima`` with a real VM: a file that lies anywhere becomes an instance, as with Lima."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.e2e.world import SHORT_BOOT, World

TEMPLATE = """\
images: [{{location: "debian:12"}}]
cpus: 1
memory: 512MiB
disk: 4GiB
mounts: [{{location: "{share}", writable: true}}]
env: {{FOO: bar}}
param: {{word: "-"}}
provision: [{{mode: system, script: "#!/bin/sh\\nprintf %s \\"$PARAM_word\\" >/srv/word\\n"}}]
vmOpts: {{gaovm: {{{short}}}}}
"""


def test_an_instance_s_life(world: World) -> None:
    limactl = replace(world, command=[*world.command, "lima"])
    share = world.home.parent / "share"
    share.mkdir()
    file = share / "web.yaml"
    file.write_text(TEMPLATE.format(share=share, short=SHORT_BOOT))

    def run(*words: str, check: int = 0, **options: Any) -> str:
        done = limactl.run(*words, cwd=share, check=check, timeout=900, **options)
        return done.stdout.decode()

    run("start", "--tty=false", "--name=lima-web", "--param=word=yes", str(file))
    shown = json.loads(run("list", "--json", "lima-web"))
    assert (shown["status"], shown["dir"]) == ("Running", str(world.home / "lima" / "lima-web"))

    def shell(*words: str, check: int = 0, **options: Any) -> str:
        return run("shell", "lima-web", *words, check=check, **options).rstrip("\n")

    assert shell("cat", "/srv/word") == "yes"
    assert shell("pwd") == str(share)
    assert run("shell", "--workdir", "/etc", "lima-web", "pwd") == "/etc\n"
    assert shell("sh", "-c", 'echo "$FOO" "$1"', "sh", "a  b") == "bar a  b"
    assert shell("A=1", "B=x y", "sh", "-c", 'echo "$A$B"') == "1x y"
    assert shell("command", "-v", "sh").endswith("/sh"), "a builtin of the login shell"
    assert shell("cat", stdin=b"in\n") == "in"
    shell("exit", "3", check=3)
    shell("no such program", check=127)
    assert run("shell", "--shell", "/bin/sh", "lima-web", "echo", "$0") == "$0\n"
    printed = run("shell", "--preserve-env", "lima-web", "printenv", "WORD", WORD="kept")
    assert printed == "kept\n"
    run("shell", "lima-web", "printenv", "WORD", WORD="kept", check=1)

    run("copy", str(file), "lima-web:/tmp/there.yaml")
    run("cp", "lima-web:/tmp/there.yaml", "back.yaml")
    assert (share / "back.yaml").read_bytes() == file.read_bytes()
    run("stop", "lima-web")
    assert run("list", "--format", "{{.Status}}", "lima-web") == "Stopped\n"
    run("delete", "lima-web")
    assert not (world.home / "lima" / "lima-web").exists()
    assert not (world.home / "vms" / "lima-web").exists()
    assert Path(file).exists()
