"""The display of a real VM: what the window shows, what reaches the guest, what survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.world import CONFIG, World

if TYPE_CHECKING:
    from tests.e2e.desktop import Desktop

NAME = "shown-dev"
TITLE = f"{NAME} - GaoVM"
SIZE = (1280, 800)
# the text cursor of the guest's terminal blinks, and the guest may print between two looks
TOLERANCE = 0.002
SET_MODE = Path(__file__).with_name("set_mode.pl")


class Seat:
    """A project whose VM has a display, and a desktop to look at it."""

    def __init__(self, world: World, project: Path, screen: Desktop) -> None:
        self.world, self.project, self.screen = world, project, screen

    def gaovm(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        return self.world.run(*args, cwd=self.project, DISPLAY=self.screen.name)

    def exec(self, *argv: str) -> str:
        return self.gaovm("exec", "--user", "root", "--", *argv).stdout.decode()

    def open(self) -> None:
        self.gaovm("display", "open")
        self.screen.focus(TITLE)

    def status(self) -> Any:
        return self.world.json("display", "status", cwd=self.project)

    def hypervisor(self) -> int:
        status = self.world.json("status", cwd=self.project)
        assert status["observed"] == "running"
        return int(status["hypervisor_pid"])

    def screenshot(self, path: Path) -> tuple[tuple[int, int], bytes]:
        """Return size and pixels of the display, as the hypervisor sees it."""
        self.gaovm("display", "screenshot", "--output", str(path))
        return decode(path)

    def assert_window_is_the_display(self, path: Path) -> None:
        """Compare pixel by pixel; look again if the picture changes meanwhile."""
        until(lambda: self._difference(path) <= TOLERANCE)

    def _difference(self, path: Path) -> float:
        size, wanted = self.screenshot(path)
        if self.screen.size(TITLE) != size:
            return 1.0
        return different(self.screen.picture(TITLE), wanted)


def until(condition: Callable[[], Any], limit_s: float = 120.0, pause_s: float = 0.2) -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + limit_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, "it did not come true"
        time.sleep(pause_s)


def decode(path: Path) -> tuple[tuple[int, int], bytes]:
    """Return size and pixels of a PNG: four bytes a pixel, blue first."""
    from PySide6.QtGui import QImage  # here: without it only these tests must fail

    image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB32)
    return (image.width(), image.height()), bytes(image.constBits())


def different(first: bytes, second: bytes) -> float:
    """Return the part of the pixels that differ."""
    assert len(first) == len(second)
    pairs = zip(memoryview(first).cast("I"), memoryview(second).cast("I"), strict=True)
    return sum((one ^ two) & 0xFFFFFF != 0 for one, two in pairs) / (len(first) // 4)


def lit(picture: bytes) -> int:
    """Return how many pixels are not black."""
    return sum(pixel & 0xFFFFFF != 0 for pixel in memoryview(picture).cast("I"))


@pytest.fixture(scope="module")
def screen() -> Iterator[Desktop]:
    from tests.e2e import desktop  # here: it needs an X client library

    with desktop.desktop() as made:
        yield made


@pytest.fixture(scope="module")
def seat(world: World, screen: Desktop) -> Iterator[Seat]:
    project = world.project("shown", CONFIG + "video: {display: default}\n")
    world.run("up", cwd=project, timeout=1200)
    made = Seat(world, project, screen)
    # the user is logged in on the guest's terminal once the distribution has booted
    until(lambda: "bash" in made.exec("sh", "-c", "ps -t tty1 -o comm= || true"), 400, 2)
    yield made
    world.run("destroy", "-y", cwd=project)
    assert screen.windows(TITLE) == []


@pytest.fixture
def opened(seat: Seat) -> Iterator[Seat]:
    """Open the window on the same seat; afterwards the VM is still the same one."""
    before = seat.hypervisor()
    seat.open()
    yield seat
    seat.gaovm("display", "close")
    assert seat.hypervisor() == before


def test_the_window_shows_what_the_guest_displays(opened: Seat, tmp_path: Path) -> None:
    assert opened.screen.size(TITLE) == SIZE
    opened.assert_window_is_the_display(tmp_path / "a.png")
    # and it is a picture: the guest's terminal has text on it
    before = lit(opened.screen.picture(TITLE))
    assert before > 100
    opened.exec(
        "sh", "-c", "for n in $(seq 40); do echo XXXXXXXXXXXXXXXXXXXXXXXX > /dev/tty1; done"
    )
    until(lambda: lit(opened.screen.picture(TITLE)) > before + 5000)
    opened.assert_window_is_the_display(tmp_path / "b.png")


def test_what_is_typed_reaches_the_guest(opened: Seat) -> None:
    opened.screen.type("\necho Hello-42 >/tmp/Typed_1\n")
    until(lambda: opened.exec("sh", "-c", "cat /tmp/Typed_1 || true") == "Hello-42\n")
    # a key that is not a character: up, for the last command; backspace, then another name
    opened.exec("rm", "/tmp/Typed_1")
    opened.screen.press(0xFF52)
    opened.screen.press(0xFF08)
    opened.screen.type("2\n")
    until(lambda: opened.exec("sh", "-c", "cat /tmp/Typed_2 || true") == "Hello-42\n")


def events_of(seat: Seat, device: str) -> subprocess.Popen[bytes]:
    """Start a reader of one input device in the guest; return it when it is ready."""
    script = (
        f'n=$(grep -A5 "{device}" /proc/bus/input/devices | grep -o "event[0-9]*"); '
        'exec 3<"/dev/input/$n"; echo ready; cat <&3'
    )
    reader = seat.world.start(
        "exec", "--user", "root", "--", "sh", "-c", script, cwd=seat.project, bufsize=0
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"ready\n"
    return reader


def next_event(reader: subprocess.Popen[bytes]) -> tuple[int, int, int]:
    """Return type, code and value of the device's next event."""
    assert reader.stdout is not None
    record = b""
    while len(record) < 24:
        part = reader.stdout.read(24 - len(record))
        assert part, "the reader in the guest has ended"
        record += part
    kind, code, value = struct.unpack("<16xHHi", record)
    return kind, code, value


def assert_place(reader: subprocess.Popen[bytes], across: float, down: float) -> None:
    """Wait until the pointer is at this place, in parts of the picture; changes arrive alone."""
    seen = {0: 0, 1: 0}
    wanted = {0: across * 32767, 1: down * 32767}
    while any(abs(seen[axis] - wanted[axis]) > 60 for axis in seen):
        kind, code, value = next_event(reader)
        if kind == 3:
            seen[code] = value


def test_the_pointer_reaches_the_guest(opened: Seat) -> None:
    opened.screen.point(TITLE, 10, 10)
    reader = events_of(opened, "QEMU Virtio Tablet")
    try:
        opened.screen.point(TITLE, 960, 200)
        assert_place(reader, 0.75, 0.25)
        opened.screen.click()
        while next_event(reader) != (1, 0x110, 1):
            pass  # until the left button goes down
    finally:
        reader.kill()
        reader.communicate()


def test_the_guest_changes_its_size_while_the_window_is_open(opened: Seat, tmp_path: Path) -> None:
    script = SET_MODE.read_text()
    changer = opened.world.start(
        *("exec", "--user", "root", "--", "perl", "-e", script, "1024", "768"),
        cwd=opened.project,
        stdin=subprocess.PIPE,
    )
    try:
        assert changer.stdout is not None
        assert changer.stdout.readline() == b"set\n"
        until(lambda: opened.screen.size(TITLE) == (1024, 768))
        opened.assert_window_is_the_display(tmp_path / "small.png")
        assert (opened.status()["width"], opened.status()["height"]) == (1024, 768)
    finally:
        changer.communicate()
    # its terminal is back, in its own size
    until(lambda: opened.screen.size(TITLE) == SIZE)
    opened.assert_window_is_the_display(tmp_path / "back.png")
    assert lit(opened.screen.picture(TITLE)) > 100
    opened.screen.type("\necho again >/tmp/after\n")
    until(lambda: opened.exec("sh", "-c", "cat /tmp/after || true") == "again\n")


def test_a_window_of_another_size_shows_it_scaled(opened: Seat, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QImage

    opened.screen.resize(TITLE, 640, 400)
    until(lambda: opened.screen.size(TITLE) == (640, 400))

    def apart() -> float:
        (width, height), pixels = opened.screenshot(tmp_path / "a.png")
        image = QImage(pixels, width, height, QImage.Format.Format_RGB32).scaled(
            640, 400, mode=Qt.TransformationMode.SmoothTransformation
        )
        wanted, shown = bytes(image.constBits()), opened.screen.picture(TITLE)
        total = 0
        for colour in range(3):  # the fourth byte means nothing
            pairs = zip(wanted[colour::4], shown[colour::4], strict=True)
            total += sum(abs(one - two) for one, two in pairs)
        return total / (640 * 400 * 3)

    until(lambda: apart() < 1)  # of 255; two ways of scaling differ at the edges of letters
    assert lit(opened.screen.picture(TITLE)) > 100
    reader = events_of(opened, "QEMU Virtio Tablet")
    try:
        opened.screen.point(TITLE, 10, 10)
        opened.screen.point(TITLE, 160, 200)
        assert_place(reader, 0.25, 0.5)
    finally:
        reader.kill()
        reader.communicate()


def test_the_user_closes_the_window_and_opens_it_again(seat: Seat, tmp_path: Path) -> None:
    before, count = seat.hypervisor(), seat.status()["opened_count"]
    for _ in range(3):
        seat.open()
        pid = seat.status()["window_pid"]
        assert pid in seat.world.processes()
        seat.screen.ask_to_close(TITLE)
        until(lambda: not seat.status()["open"])
        assert pid not in seat.world.processes()
        assert seat.hypervisor() == before
    seat.open()
    assert seat.status()["opened_count"] == count + 4
    seat.assert_window_is_the_display(tmp_path / "a.png")
    seat.gaovm("display", "close")
    assert seat.screen.windows(TITLE) == []
    lines = seat.world.run("events", "--json", cwd=seat.project).stdout.splitlines()
    told = [event for line in lines if (event := json.loads(line))["vm"] == NAME]
    closed = [event["payload"] for event in told if event["type"] == "display.closed"]
    assert closed[-4:] == [{"reason": "user"}] * 3 + [{"reason": "asked"}]
    opened = [event["payload"] for event in told if event["type"] == "display.opened"]
    assert opened[-1] == {"width": SIZE[0], "height": SIZE[1]}


def test_a_window_that_is_killed_takes_nothing_along(seat: Seat) -> None:
    before = seat.hypervisor()
    seat.open()
    os.kill(seat.status()["window_pid"], signal.SIGKILL)
    until(lambda: not seat.status()["open"])
    assert seat.hypervisor() == before
    assert seat.exec("echo", "alive") == "alive\n"


def test_a_desktop_that_dies_takes_only_the_window_along(seat: Seat) -> None:
    before = seat.hypervisor()
    from tests.e2e import desktop

    with desktop.desktop() as other:
        seat.world.run("display", "open", cwd=seat.project, DISPLAY=other.name)
        assert other.size(TITLE) == SIZE
        other.server.kill()
        until(lambda: not seat.status()["open"])
    assert seat.hypervisor() == before
    assert seat.exec("echo", "alive") == "alive\n"


def test_a_screenshot_needs_no_desktop(seat: Seat, tmp_path: Path) -> None:
    taken = seat.world.run("display", "screenshot", "-o", "-", cwd=seat.project, DISPLAY="")
    assert struct.unpack(">II", taken.stdout[16:24]) == SIZE
    (tmp_path / "a.png").write_bytes(taken.stdout)
    assert lit(decode(tmp_path / "a.png")[1]) > 100


def test_the_socket_is_the_owners_and_explain_tells_of_it(seat: Seat) -> None:
    status = seat.world.json("status", cwd=seat.project)
    path = Path(status["run_dir"], "vnc.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    running = Path(f"/proc/{seat.hypervisor()}/cmdline").read_bytes().decode().split("\0")
    vnc = running[running.index("-vnc") + 1]
    assert vnc.startswith("none,"), "the driver listens, not QEMU"
    assert vnc in seat.world.json("explain", cwd=seat.project)["argv"]
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.settimeout(60)
        viewer.connect(str(path))
        assert viewer.recv(12) == b"RFB 003.008\n"


def test_without_a_desktop_open_says_so(seat: Seat) -> None:
    for display, words in (
        ("", b"there is no desktop here"),
        (":9998", b"could not connect to display :9998"),
    ):
        failed = seat.world.run(
            *("display", "open"), cwd=seat.project, check=1, DISPLAY=display, WAYLAND_DISPLAY=""
        )
        assert words in failed.stderr
    assert not seat.status()["open"]
