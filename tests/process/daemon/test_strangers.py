"""What a stranger sends delays nobody else, and the daemon can still end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Any

from tests.process.daemon.conftest import LIMIT_S, Daemons

DIGEST = "sha256:" + 64 * "0"


def up(project: Path, text: str) -> dict[str, Any]:
    return {
        "project_dir": str(project),
        "config_path": str(project / "c.yaml"),
        "config_text": text,
        "user": {"name": "u", "uid": 1000, "gid": 1000},
    }


def test_a_costly_file_holds_no_other_client(daemons: Daemons, tmp_path: Path) -> None:
    """A file of 3 KB once took 38 s on the loop; these are 80 times as large."""
    daemons.start()
    stranger, other = daemons.client(), daemons.client()
    for text in (
        "message: '{{" + " " * (250 << 10) + "'\n",
        "a: [" + "a," * 49_000 + "]\n",
        "".join(f"cpuss{n}: 1\n" for n in range(9_000)),
    ):
        number = stranger.request("vm.up", up(tmp_path, text))
        assert other.call("ping")["ok"] is True
        assert "c.yaml:" in stranger.reply(number)["error"]["message"]
    assert set(other.call("daemon.status")["stalls"]) == {"count", "longest_s"}


def test_a_fifo_as_an_image_is_refused_and_the_daemon_ends(
    daemons: Daemons, tmp_path: Path
) -> None:
    process = daemons.start()
    fifo = tmp_path / "disk.img"
    os.mkfifo(fifo)
    text = f"images: [{{location: {fifo}, digest: {DIGEST}}}]\n"
    client = daemons.client()
    failed = client.call("vm.up", up(tmp_path, text))
    assert failed["message"] == f"{fifo} is a FIFO; expected a regular file"
    client.call("daemon.stop")
    assert process.wait(LIMIT_S) == 0


def test_half_frames_of_many_clients_cost_one_budget(daemons: Daemons) -> None:
    process = daemons.start()
    half = struct.pack(">I", 16 << 20) + b" " * (8 << 20)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sender = stack.enter_context(socket.socket(socket.AF_UNIX))
            sender.connect(str(daemons.socket))
            with contextlib.suppress(ConnectionError):  # the daemon cuts off who holds the most
                sender.sendall(half)
        assert daemons.client().call("ping")["ok"] is True
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 130 << 20
