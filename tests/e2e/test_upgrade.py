"""``gaovm daemon upgrade`` beside a real VM: open sessions go on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.world import World


def test_an_exec_and_followed_events_go_on_across_an_upgrade(world: World, vm: Path) -> None:
    script = "n=0; while read line; do n=$((n+1)); echo $n $line; done"
    before = world.json("daemon", "status")
    with (
        world.start("exec", "--", "sh", "-c", script, cwd=vm, stdin=subprocess.PIPE) as echo,
        world.start("events", "-f", "--json", "--since", "0", cwd=vm) as follower,
    ):
        assert echo.stdin is not None
        assert echo.stdout is not None
        assert follower.stdout is not None
        for number, word in enumerate((b"before", b"after", b"again"), 1):
            echo.stdin.write(word + b"\n")
            echo.stdin.flush()
            assert echo.stdout.readline() == b"%d %s\n" % (number, word)
            result = world.json("daemon", "upgrade")
            assert (result["pid"], result["vms"]) == (before["pid"], 1)
        echo.stdin.close()
        assert echo.wait(30) == 0
        seen = []
        for line in follower.stdout:
            seen.append(json.loads(line))
            if [event["type"] for event in seen].count("daemon.upgraded") == 3:
                break
        follower.terminate()
    numbers = [event["seq"] for event in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert world.run("exec", "--", "echo", "new", cwd=vm).stdout == b"new\n"
    assert world.json("daemon", "status")["zygote_pid"] != before["zygote_pid"]
