"""The warm process from which drivers are forked: ``python -m gaovm.driver.spawn.zygote --fd N``.

A fresh interpreter with a driver's imports costs a tenth of a second and a dozen MiB; a fork of
this process costs 2 ms and the pages it writes to. So the zygote imports and runs everything once,
and freezes it out of the garbage collector's reach. Then it only waits: blocking, one thread, no
event loop.

Contract (descriptor N: SOCK_SEQPACKET, one JSON object a message):

* to the zygote: ``{"op":"fork","id","token","vm","log"}`` with the driver's control socket as its
  one descriptor (SCM_RIGHTS). ``id`` is any JSON value, ``log`` the path of the driver's log,
  ``vm`` the name for log lines.
* from the zygote: once, when it is warm, ``{"op":"ready","pid"}``; for each fork
  ``{"op":"forked","id","pid","start_time"}`` or ``{"op":"failed","id","message"}``; when a driver
  has ended, ``{"op":"exited","pid","status"}`` with the exit status, or minus the signal.
* end of file: the zygote leaves; its drivers live on by their own rules.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from gaovm import errors
from gaovm.aio import descriptors, logs, steps
from gaovm.driver import backend
from gaovm.driver import main as driver
from gaovm.driver.spawn import warmup
from gaovm.platform import priority, processes, unix_sockets
from gaovm.platform.confine import abilities, groups

MAX_MESSAGE = 64 << 10
SWEEP_MS = 500
#: ``0``: no rehearsal, for example in tests that start thousands of zygotes.
VARIABLE = "GAOVM_REHEARSAL"
#: After this many rounds the interpreter has rewritten most functions into their fast form.
ROUNDS = 8


class Fork(msgspec.Struct):
    """A fork request."""

    op: str
    id: Any
    token: str
    vm: str
    log: str


class Zygote:
    """The loop: requests in, children out."""

    def __init__(self, sock: socket.socket, handler: logs.Handler) -> None:
        self._sock = sock
        self._handler = handler
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._children: dict[int, int] = {}
        self._reaped = False

    def run(self) -> None:
        """Serve until end of file."""
        self._send({"op": "ready", "pid": os.getpid()})
        swept = groups.sweep()
        while True:
            # the hypervisor and process group of a killed driver may live a moment longer
            for fd, _ in self._poll.poll(None if swept else SWEEP_MS):
                if fd != self._sock.fileno():
                    self._reap(fd)
                elif not self._serve():
                    groups.sweep()
                    return
            if not swept or self._reaped:
                swept, self._reaped = groups.sweep(), False

    def _serve(self) -> bool:
        try:
            data, fds = unix_sockets.receive(self._sock, MAX_MESSAGE, 1)
        except errors.ProtocolError as exc:
            self._send({"op": "failed", "id": None, "message": exc.message})
            return True
        except errors.ConnectionLost:
            return False
        if not data:
            return False
        try:
            self._fork(data, fds)
        finally:
            for fd in fds:
                os.close(fd)
        return True

    @steps.step
    def _fork(self, data: bytes, fds: list[int]) -> None:
        ident: Any = None
        try:
            request = msgspec.json.decode(data, type=Fork)
            ident = request.id
            if request.op != "fork" or len(fds) != 1:
                raise ValueError("not a fork request with one descriptor")
            log = logs.RotatingFile(Path(request.log))
        except (msgspec.DecodeError, ValueError, OSError) as exc:
            self._send({"op": "failed", "id": ident, "message": str(exc)})
            return
        try:
            pid = os.fork()
        except OSError as exc:
            log.close()
            self._send({"op": "failed", "id": ident, "message": f"fork: {exc.strerror}"})
            return
        if pid == 0:
            self._become_driver(request, fds[0], log)
        log.close()
        self._adopt(pid, ident)

    @steps.step
    def _adopt(self, pid: int, ident: Any) -> None:
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        _, start_time = processes.identity(pid)
        self._send({"op": "forked", "id": ident, "pid": pid, "start_time": start_time})

    def _become_driver(self, request: Fork, control: int, log: logs.RotatingFile) -> NoReturn:
        status = 1
        try:
            self._part(request, log)
            status = driver.run(socket.socket(fileno=os.dup(control)), request.token, request.vm)
        finally:
            os._exit(status)

    @steps.step
    def _part(self, request: Fork, log: logs.RotatingFile) -> None:
        """In the child: leave the zygote's session, descriptors and log."""
        os.setsid()
        # ps shows this name, and so does the message about a taken port
        processes.name_self(f"gaovm:{request.vm}")
        self._sock.close()
        for pidfd in self._children:
            os.close(pidfd)
        driver.log_to(self._handler, log, request.vm)
        gc.enable()

    def _reap(self, pidfd: int) -> None:
        pid = self._children.pop(pidfd)
        self._reaped = True
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, wait_status = os.waitpid(pid, 0)
        status = os.waitstatus_to_exitcode(wait_status)
        self._send({"op": "exited", "pid": pid, "status": status})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._sock.send(msgspec.json.encode(message))
        except ConnectionError:
            return  # the end of file comes next


def entry() -> None:
    """Run as a program."""
    if len(sys.argv) != 3 or sys.argv[1] != "--fd" or not sys.argv[2].isdecimal():
        sys.stderr.write("usage: python -m gaovm.driver.spawn.zygote --fd N\n")
        raise SystemExit(2)
    sock = socket.socket(fileno=int(sys.argv[2]))
    sock.set_inheritable(False)
    sock.setblocking(True)
    # Ctrl-C at a terminal is meant for the command line; the daemon ends us by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptors.raise_limit()  # for drivers: each forward and session takes some
    gc.disable()  # it would leave holes; drivers would fill them, and so copy these pages
    handler = driver.set_up_logging()
    backend.load_all()
    if os.environ.get(VARIABLE) != "0":
        warmup.run(handler, ROUNDS)
    abilities.find()  # once for all drivers
    gc.freeze()
    priority.nice()  # the zygote reaps drivers: the daemon may wait for its message
    Zygote(sock, handler).run()


if __name__ == "__main__":
    entry()
