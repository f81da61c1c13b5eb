"""Host ports that follow the guest's servers: open when one listens, closed when it stops.

The guest's agent reports listeners, ``spec.portrules`` decides, and this module opens and closes. A
forward that cannot be opened stays closed, with its reason in ``describe``; it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gaovm import errors
from gaovm.aio import clock, tasks
from gaovm.driver.ports import binding
from gaovm.driver.ports.datagrams import Datagrams
from gaovm.driver.ports.relay import Inside, Relay, inside
from gaovm.guestmanager import listeners
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec import portrules
from gaovm.spec.portrules import Followed, Listening, Rule, Target
from gaovm.spec.ports import Proto
from gaovm.wire.agent.info import Listener
from gaovm.wire.agent.listeners import Change, Watch
from gaovm.wire.driver import results

logger = logging.getLogger(__name__)
#: Between two reactions to the guest's reports: one that flaps costs a bounded part of a core.
PAUSE_S = 0.02
SHARE = 4  # the pause is at least so many times as long as the reaction
RETRY_S = 3.0
#: The agent reports half as many.
MAX_KNOWN = 2048
_Key = tuple[Proto, int, Target]
#: Whether a forward that is always open has the host port of this one, or makes it needless.
IsServed = Callable[[Followed], bool]


@dataclass(eq=False)
class _Open:
    """An open forward; ``sock`` is None when the socket file was made before."""

    followed: Followed
    inside: Inside
    host_port: int
    sock: socket.socket | None = None
    task: asyncio.Task[None] | None = None
    lost: int | None = None


class Following:
    """The forwards of one VM that follow its listeners."""

    def __init__(
        self,
        owner: tasks.TaskOwner,
        relay: Relay,
        datagrams: Datagrams,
        is_served: IsServed,
        changed: Callable[[], None],
    ) -> None:
        self._owner, self._relay, self._datagrams = owner, relay, datagrams
        self._is_served, self._changed = is_served, changed
        self._rules: tuple[Rule, ...] = ()
        self._earlier: dict[tuple[Proto, int], int] = {}
        #: Why the socket file of a rule could not be made, by its path; "" for those that are made.
        self._sockets: dict[str, str] = {}
        self._known: set[Listening] = set()
        self._open: dict[_Key, _Open] = {}
        self._failed: dict[_Key, tuple[Followed, errors.GaoError]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._applying = asyncio.Lock()
        self._connection: Connection | None = None
        #: What keeps some of the guest's servers from being forwarded at all.
        self.problem: str | None = None
        self._told: tuple[tuple[results.Port, ...], str | None] = ((), None)

    def configure(
        self,
        rules: tuple[Rule, ...],
        earlier: Mapping[tuple[Proto, int], int],
        sockets: Mapping[str, str],
    ) -> None:
        """Take the rules of a VM that starts, and the host ports of its last run."""
        self._rules, self._earlier, self._sockets = rules, dict(earlier), dict(sockets)
        self._choose_ports()
        self._told = self.describe(), None

    def _choose_ports(self) -> None:
        """Choose the host ports of rules for one port that take any: people want to know it now.

        Nobody holds it until a server listens. When somebody else has it then, another is taken.
        """
        for rule in self._rules:
            target, proto = rule.target(rule.first), _proto(rule)
            known = self._earlier.get((proto, rule.first))
            if rule.one_port and not (target.port or target.socket or known):
                with contextlib.suppress(errors.GaoError):
                    probe = binding.bind(proto, target.ip, 0, None)
                    self._earlier[proto, rule.first] = probe.getsockname()[1]
                    probe.close()

    def inside_of(self, path: str) -> Inside | None:
        """Return where a rule's socket file leads now; None: no server listens."""
        for key, found in self._open.items():
            if key[2].socket == path:
                return found.inside
        return None

    def begin(self, connection: Connection) -> None:
        """Follow on a new connection to the agent."""
        self._connection = connection
        self._restart_watch()

    async def set_rules(self, rules: tuple[Rule, ...]) -> None:
        """Let other rules decide from now on."""
        self._rules = rules
        self._choose_ports()
        await self._apply()
        if self._connection is not None:
            self._restart_watch()

    async def refresh(self) -> None:
        """Look again at what could not be opened."""
        await self._apply()

    def end(self) -> None:
        """Close everything soon, as the connection is lost. Idempotent.

        The driver's owner may have ended its tasks by then, so this is none of them.
        """
        self._forget()
        self._ending = tasks.spawn(self._apply(), name="ports close")

    async def close(self) -> None:
        """Close everything. Idempotent."""
        self._forget()
        await self._apply()
        if self._ending is not None:
            await self._ending

    def _forget(self) -> None:
        self._connection = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._known.clear()
        self.problem = None

    def _restart_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._connection is not None:
            work = self._follow(self._connection)
            self._watch = self._owner.start(work, name="guest listeners", finishable=True)

    async def _follow(self, connection: Connection) -> None:
        ranges = portrules.watched(self._rules)
        if not ranges:
            return
        wanted = Watch(**{proto: tuple(each) for proto, each in ranges.items()})
        first = True
        try:
            async for changes in listeners.follow(connection, wanted):
                for change in changes:
                    if first:
                        self._known.clear()
                        first = False
                    self._take(change)
                began = clock.monotonic()
                await tasks.finish(self._apply())
                spent = clock.monotonic() - began
                await asyncio.sleep(max(PAUSE_S, SHARE * spent))
        except errors.GuestUnavailable:
            return
        except errors.GaoError as exc:
            logger.warning("no port follows the guest's servers: %s", exc.message)
            self.problem = f"no port follows the guest's servers: {exc.message[:500]}"
            self._known.clear()
            await self._apply()

    def _take(self, change: Change) -> None:
        self._known.difference_update(_usable(change.closed))
        self._known.update(_usable(change.opened))
        if len(self._known) > MAX_KNOWN:
            raise errors.GuestProtocolError(f"more than {MAX_KNOWN} listeners were reported")
        too_many = "the guest has more listeners than GaoVM follows; some are not forwarded"
        self._note_problem(too_many if change.more else None)

    def _note_problem(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem

    # opening and closing

    async def _apply(self) -> None:
        """Make the open forwards those that the guest's listeners ask for now."""
        async with self._applying:
            found = portrules.follow(self._rules, self._known)
            if len(found) > portrules.MAX_FOLLOWED:
                self._note_problem(
                    f"the guest listens on more than {portrules.MAX_FOLLOWED} ports that the rules"
                    " forward; the others are not forwarded"
                )
            found = [each for each in found if not self._is_served(each)]
            wanted = {_key(each): each for each in found[: portrules.MAX_FOLLOWED]}
            await self._close(self._open.keys() - wanted.keys())
            self._failed = {key: old for key, old in self._failed.items() if key in wanted}
            for key, followed in wanted.items():
                self._open_one(key, followed)
            now = self.describe(), self.problem
            if now != self._told:
                self._told = now
                self._changed()
            self._plan_retry()

    def _open_one(self, key: _Key, followed: Followed) -> None:
        address = inside(followed.proto, followed.dial, followed.guest_port)
        known = self._open.get(key)
        if known is not None:
            known.followed, known.inside = followed, address
            return
        try:
            self._open[key] = self._bound(followed, address)
        except errors.GaoError as exc:
            if key not in self._failed:
                logger.warning("guest port %s is not forwarded: %s", followed.guest_port, exc)
            self._failed[key] = (followed, exc)
        else:
            self._failed.pop(key, None)

    def _bound(self, followed: Followed, address: Inside) -> _Open:
        target, field = followed.target, followed.rule.field or None
        if target.socket:
            problem = self._sockets.get(target.socket, "the VM must be started again to make it")
            if problem:
                raise errors.StateConflict(f"host socket {target.socket}: {problem}", field=field)
            return _Open(followed, address, 0)
        lost, wanted = None, target.port
        memory = (followed.proto, followed.guest_port)
        if not target.port:
            wanted = self._earlier.get(memory, 0)
        try:
            sock = binding.bind(followed.proto, target.ip, wanted, field)
        except errors.PortTaken:
            if target.port or not wanted:
                raise
            lost, sock = wanted, binding.bind(followed.proto, target.ip, 0, field)
        port = sock.getsockname()[1]
        if not target.port:
            self._earlier[memory] = port
        opened = _Open(followed, address, port, sock, lost=lost)
        carrier = self._relay if followed.proto == "tcp" else self._datagrams
        opened.task = carrier.serve(sock, f"port {port}", lambda: opened.inside)
        return opened

    async def _close(self, keys: Iterable[_Key]) -> None:
        closing = [self._open.pop(key) for key in list(keys)]
        ended = [each.task for each in closing if each.task is not None]
        for task in ended:
            task.cancel()
        if ended:
            # A socket must outlive its task: the number of a closed one is used again.
            await asyncio.wait(ended)
        for each in closing:
            if each.sock is not None:
                each.sock.close()

    def _plan_retry(self) -> None:
        if self._failed and self._retry is None and self._connection is not None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self._failed and self._connection is not None:
            self._owner.start(self._apply(), name="ports again", finishable=True)

    # describing

    def describe(self) -> tuple[results.Port, ...]:
        """Return the rules for one port, and every other port that a listener has opened."""
        found: list[results.Port] = []
        shown: set[_Key] = set()
        for rule in self._rules:
            if not rule.one_port:
                continue
            keys = [key for key in (*self._open, *self._failed) if self._rule_of(key) is rule]
            shown.update(keys)
            found += [self._port(key) for key in keys] or [self._waiting(rule)]
        others = {*self._open, *self._failed} - shown
        found += [self._port(key) for key in sorted(others, key=lambda key: (key[1], key[0]))]
        return tuple(found)

    def _rule_of(self, key: _Key) -> Rule:
        known = self._open.get(key)
        return known.followed.rule if known is not None else self._failed[key][0].rule

    def _waiting(self, rule: Rule) -> results.Port:
        target = rule.target(rule.first)
        proto = _proto(rule)
        return results.Port(
            guest_ip=rule.guest_ip,
            guest_port=rule.first,
            host_ip=target.ip,
            host_port=target.port or self._earlier.get((proto, rule.first), 0),
            host_socket=target.socket,
            proto=proto,
            state="no_listener",
            follows=True,
        )

    def _port(self, key: _Key) -> results.Port:
        known = self._open.get(key)
        followed, failure = (known.followed, None) if known is not None else self._failed[key]
        target = followed.target
        state = "listening"
        if failure is not None:
            state = "taken" if isinstance(failure, errors.PortTaken) else "refused"
        return results.Port(
            guest_ip=followed.dial,
            guest_port=followed.guest_port,
            host_ip=target.ip,
            host_port=target.port if known is None else known.host_port,
            host_socket=target.socket,
            proto=followed.proto,
            state=state,
            lost_host_port=None if known is None else known.lost,
            problem=None if failure is None else failure.message[:500],
            follows=True,
        )


def _proto(rule: Rule) -> Proto:
    """Return the protocol for which a rule is shown before anybody listens."""
    return "udp" if rule.proto == "udp" else "tcp"


def _key(followed: Followed) -> _Key:
    return followed.proto, followed.guest_port, followed.target


def _usable(reported: Iterable[Listener]) -> Iterable[Listening]:
    """Yield what a guest reports of itself, without what makes no sense."""
    for each in reported:
        if each.proto not in ("tcp", "udp") or not 0 < each.port <= portrules.MAX_PORT:
            continue
        try:
            address = str(ipaddress.ip_address(each.address[:64]))
        except ValueError:
            continue
        yield Listening("udp" if each.proto == "udp" else "tcp", address, each.port)
