"""A small guest agent: first lines, then an HTTP/2 server. Does no I/O itself.

Plain calls answer with good results; exec really runs its argv on this host, as this user.
The behaviours are ``normal``, ``silent`` (sends no hello), ``garbage`` (sends bytes instead of
hello), ``broken`` (sends garbage instead of HTTP/2), ``mute`` (sends hello, then answers nothing),
``bad-mount`` (every mount fails), ``unbooted`` (its distribution never finishes booting),
``failed-unit`` (it has booted, and one of its units failed).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from gaovm.wire import streams

NONCE = "ab" * 16
CHUNK = 16384
_BOOTS: dict[str, dict[str, Any]] = {
    "unbooted": {"state": "timeout", "detail": "starting"},
    "failed-unit": {"state": "degraded", "failed": ["web.service"]},
}
_EOF = streams.encode(streams.EOF)
_HOST = re.compile(rb"GAOVM-HOST/1 ([0-9a-f]{32}) ([0-9a-f]{32})\n")


class FakeAgent:
    """An agent: feed it the host's bytes and send what it returns. A power call sets ``power``."""

    def __init__(self, behaviour: str = "normal", nonce: str = NONCE) -> None:
        self._behaviour, self._nonce = behaviour, nonce
        self._h2: h2.connection.H2Connection | None = None
        self._buffer = bytearray()
        self._paths: dict[int, str] = {}
        self._bodies: dict[int, bytearray] = {}
        self._unsent: dict[int, bytes] = {}
        self.power: str | None = None
        self.calls: list[tuple[str, Any]] = []
        self.journal = b'{"seq":1,"age_ms":5,"level":"info","message":"this is a fake"}\n'

    @property
    def open_streams(self) -> list[int]:
        """Return the streams that wait for an answer, oldest first."""
        return sorted(self._paths)

    def hello(self) -> bytes:
        """Return the first line, which it sends without a request."""
        if self._behaviour == "silent":
            return b""
        if self._behaviour == "garbage":
            return bytes(range(256)) * 8192
        about = {"version": "fake", "exec_to_ready_ms": 1.5, "boot_ms": 900.0, "pid": 1}
        return f"GAOVM-AGENT/1 {self._nonce} {json.dumps(about)}\n".encode()

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the host and return bytes for it."""
        if self._h2 is None:
            return self._greet(data)
        if self._behaviour == "mute":
            return b""
        for event in self._h2.receive_data(data):
            self._on_event(self._h2, event)
        self._send(self._h2)
        return self._h2.data_to_send()

    def _greet(self, data: bytes) -> bytes:
        self._buffer += data
        answers = _HOST.finditer(self._buffer)
        match = next((one for one in answers if one[1].decode() == self._nonce), None)
        if match is None:  # no line, or one for an earlier agent
            return b""
        rest = bytes(self._buffer[match.end() :])
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._h2.update_settings({codes.MAX_FRAME_SIZE: 1 << 20})
        self._h2.initiate_connection()
        answer = b"GAOVM-GO/1 " + match[2] + b"\n" + self._h2.data_to_send()
        if self._behaviour == "broken":
            return b"GAOVM-GO/1 " + match[2] + b"\n" + b"\xffgarbage" * 100
        return answer + (self.feed(rest) if rest else b"")

    def _on_event(self, server: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            stream = event.stream_id or 0
            self._paths[stream], self._bodies[stream] = headers[":path"], bytearray()
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id or 0] += event.data or b""
            length, stream = event.flow_controlled_length or 0, event.stream_id or 0
            server.acknowledge_received_data(length, stream)
            if self._paths.get(stream) == "/v1/exec" and self._bodies[stream].endswith(_EOF):
                self._finish(server, stream)
        elif isinstance(event, h2.events.StreamReset):
            for known in (self._paths, self._bodies, self._unsent):
                known.pop(event.stream_id or 0, None)
        elif isinstance(event, h2.events.StreamEnded):
            self._finish(server, event.stream_id or 0)

    def _finish(self, server: h2.connection.H2Connection, stream: int) -> None:
        if stream in self._paths:
            body = bytes(self._bodies[stream])
            self._answer(server, stream, self._paths.pop(stream), body)

    def _answer(
        self, server: h2.connection.H2Connection, stream: int, path: str, body: bytes
    ) -> None:
        server.send_headers(stream, [(":status", "200")])
        if path == "/v1/exec":
            answer = self._exec(body)
        elif path == "/v1/ssh":  # an sshd that gives back what it reads
            _, length = streams.HEADER.unpack_from(body)
            rest = body[streams.HEADER.size + length :]
            answer = streams.encode(streams.STARTED, b'{"pid":1}') + rest
        elif path == "/v1/log":
            self.calls.append((path, json.loads(body)))
            answer = self.journal
        else:
            content = json.loads(body) if body else None
            self.calls.append((path, content))
            answer = json.dumps(self._plain(path, content)).encode()
        self._unsent[stream] = answer

    def _send(self, server: h2.connection.H2Connection) -> None:
        """Send as much of the answers as the host's windows allow."""
        for stream, answer in list(self._unsent.items()):
            while answer and (room := server.local_flow_control_window(stream)):
                part, answer = answer[: min(room, CHUNK)], answer[min(room, CHUNK) :]
                server.send_data(stream, part)
            self._unsent[stream] = answer
            if not answer:
                server.end_stream(stream)
                del self._unsent[stream]

    def _plain(self, path: str, content: Any) -> Any:
        if path == "/v1/configure":
            ok = self._behaviour != "bad-mount"
            paths = [mount["path"] for mount in (content or {}).get("mounts", [])]
            return {"mounts": [{"path": p, "ok": ok, "error": "no such tag"} for p in paths]}
        if path == "/v1/disks/mount":
            paths = [disk["path"] for disk in content["disks"]]
            return {"disks": [{"path": p, "ok": True, "fs_type": "ext4"} for p in paths]}
        if path == "/v1/power":
            self.power = content["action"]
            return {}
        if path == "/v1/network/wait":
            return {"state": "up"}
        if path == "/v1/boot/wait":
            # By default no systemd: no test may set up units on this host.
            return _BOOTS.get(self._behaviour, {"state": "none"})
        if path == "/v1/clock" and content is None:
            return {"unix_ns": time.time_ns()}
        if path == "/v1/info":
            return {"version": "fake", "hostname": "fake", "uptime_s": 1.0}
        return {"ok": True}

    def _exec(self, body: bytes) -> bytes:
        start: dict[str, Any] = {}
        stdin = b""
        while body:
            kind, length = streams.HEADER.unpack_from(body)
            payload = body[streams.HEADER.size : streams.HEADER.size + length]
            body = body[streams.HEADER.size + length :]
            if kind == streams.START:
                start = json.loads(payload)
            elif kind == streams.DATA:
                stdin += payload
        self.calls.append(("/v1/exec", start))
        env = {**os.environ, **start.get("env", {})}
        done = subprocess.run(start["argv"], input=stdin, env=env, capture_output=True, check=False)
        return b"".join(
            (
                streams.encode(streams.STARTED, b'{"pid":1}'),
                streams.encode(streams.OUTPUT, done.stdout),
                streams.encode(streams.STDERR, done.stderr),
                streams.encode(streams.EXIT, json.dumps({"status": done.returncode}).encode()),
            )
        )
