"""Completion: candidates for the last word, from the declarations of the commands."""

from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.cli import catalog, completing, main
from gaovm.client import blocking
from gaovm.model import event_names
from gaovm.wire.control import payloads

_ask = completing._ask

NETWORK = ("network", "network.back", "network.lost")


def words(*line: str) -> list[str]:
    """The candidates without their descriptions."""
    return [each.partition("\t")[0] for each in completing.candidates(list(line))]


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that knows two VMs and an image."""
    known: dict[str, list[dict[str, object]]] = {
        "vms": [{"name": "web-dev", "state": "running"}, {"name": "db-dev", "state": "stopped"}],
        "images": [{"name": "debian:12"}, {"name": "two words"}, {"name": "debian:12"}],
    }
    monkeypatch.setattr(completing, "_ask", lambda method, key: known[key])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["sta"], ["status", "start"]),
        (["im"], ["image"]),
        (["hel"], ["help"]),
        (["help", "resu"], ["resume"]),
        (["help", "image", "p"], ["pull", "prune"]),
        (["image", ""], ["ls", "build", "pull", "rm", "prune"]),
        (["image", "rm", ""], ["debian:12"]),
        (["image", "rm", "debian:12", ""], []),
        (["stop", "w"], ["web-dev"]),
        (["stop", "web-dev", ""], []),
        (["stop", "--f"], ["--force"]),
        (["stop", "--force", "--f"], []),
        (["stop", "-f", "--name", "d"], ["db-dev"]),
        (["stop", "--name=d"], ["--name=db-dev"]),
        (["up", "--wait", ""], ["agent", "ready"]),
        (["up", "--wait=r"], ["--wait=ready"]),
        (["up", "--no-wait=x"], []),
        (["exec", "-e", "A=1", "--en"], ["--env"]),
        (["exec", "ls", "a"], [":files"]),
        (["exec", "--", "--na"], [":files"]),
        (["init", "m"], ["minimal"]),
        (["lima", "sta"], ["start"]),
        (["lima", "l"], ["list", "ls"]),
        (["lima", "stop", "w"], ["web-dev"]),
        (["lima", "shell", "w"], ["web-dev"]),
        (["lima", "shell", "web-dev", "l"], [":files"]),
        (["lima", "list", "--js"], ["--json"]),
        (["log-level", "d"], ["debug", "db-dev"]),
        (["set", "web-dev", "cp"], [":nospace", "cpus="]),
        (["set", "w"], ["web-dev", ":nospace", "watchdog.device="]),
        (["set", "web-dev", "cpus=4", "disk=3"], []),
        (["cp", "w"], [":nospace", ":files", "web-dev:"]),
        (["cp", "a", "web-dev:/t"], []),
        (["display", "screenshot", "-o", ""], [":files"]),
        (["events", "--type", "guest.p"], ["guest.panicked"]),
        (["events", "--type", "driver.exited", "--type=net"], [f"--type={n}" for n in NETWORK]),
        (["completion", "f"], ["fish"]),
        (["no-such", ""], []),
        (["status", "--no-such", ""], ["web-dev", "db-dev"]),
    ],
    ids=" ".join,
)
def test_candidates(line: list[str], found: list[str]) -> None:
    try:
        shown = words(*line)
    except errors.UsageError:
        shown = []
    if line == ["set", "w"]:
        shown = [each for each in shown if not each.startswith("watchdog.") or each in found]
    assert shown == found


def test_every_command_and_option_is_found() -> None:
    for name in catalog.COMMANDS:
        *group, last = name.split()
        assert (last in words(*group, last[:1])) is (name not in catalog.HIDDEN)
        for option in catalog.load(name).options:
            assert option.names[-1] in words(*group, last, option.names[-1])


def test_each_candidate_has_a_description() -> None:
    assert list(completing.candidates(["resu"])) == ["resume\tlet a paused VM go on"]
    assert list(completing.candidates(["stop", "web"])) == ["web-dev\trunning"]


def test_every_type_and_group_of_events_is_a_candidate() -> None:
    found = words("events", "--type", "")
    assert set(found) == {*payloads.PAYLOADS, *event_names.GROUPS}
    assert found == sorted(found)


def test_the_hidden_command_never_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["__complete", "no-such", "--x", ""]) == 0
    assert main.run(["__complete"]) == 0
    assert "up\tmake or start" in capsys.readouterr().out


def test_a_daemon_that_does_not_answer_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = []

    def connect(home: str, start: bool, limit_s: float) -> blocking.Client:
        limits.append((start, limit_s))
        raise errors.DaemonUnreachable("the process does not answer")

    monkeypatch.setattr(blocking, "connect", connect)
    assert _ask("vm.list", "vms") == []
    assert limits == [(False, 1.0)]


def test_every_placeholder_is_completed_or_known_to_be_free() -> None:
    free = {"ARCH", "CMD", "DIR", "GUEST", "HEX", "IP", "LEVEL", "N", "PORT", "TIME", "URL", "SIZE"}
    free |= {"USER", "HOST:", "[HOST:]GUEST", "NAME=VALUE", "KERNEL", "WHAT", "sha256:HEX"}
    free |= {"PROGRAM"}
    for name in catalog.COMMANDS:
        command = catalog.load(name)
        places = [option.value for option in command.options if option.value and not option.choices]
        for place in [*places, *command.words.split()]:
            kind = place.strip("[].")
            assert kind in completing.PLACES or "|" in kind or kind in free | {"HOST:]GUEST"}, place
