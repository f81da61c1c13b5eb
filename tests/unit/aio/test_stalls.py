"""The watch reports an event loop that stalls, with its stack, and counts stalls."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from gaovm.aio import stalls


class Told(logging.Handler):
    """Sets an event when a log line contains a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word
        self.happened = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.word in record.getMessage():
            self.happened.set()


def stand_still(told: Told) -> bool:
    return told.happened.wait(30)


def test_a_stall_is_logged_with_its_stack_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    told = Told("in stand_still")
    logging.getLogger("gaovm.aio.stalls").addHandler(told)

    async def main() -> None:
        await asyncio.sleep(0)
        assert stand_still(told)  # returns once the stack was logged
        await asyncio.sleep(0)

    with stalls.Watch(0.05) as watch, asyncio.Runner(loop_factory=watch.new_loop) as runner:
        runner.run(main())
    logging.getLogger("gaovm.aio.stalls").removeHandler(told)
    # on a busy machine other turns may have lasted as long, and are told too
    assert watch.count == caplog.text.count("the event loop stood still for") >= 1
    assert watch.longest_s > 0.05


class Overtaken(stalls.Watch):
    """Begins a turn just before the watching thread asks for a signal at the next turn."""

    asks = 0

    @property
    def _asked(self) -> bool:
        return self._is_asked

    @_asked.setter
    def _asked(self, value: bool) -> None:
        self.asks += value
        if value and self.asks == 1:
            self.begin()
        self._is_asked = value


def test_a_turn_that_begins_just_before_the_thread_asks_is_watched() -> None:
    told = Told("the event loop stands still")
    logging.getLogger("gaovm.aio.stalls").addHandler(told)
    with Overtaken(0.05) as watch:
        watch._watched = threading.get_ident()
        assert told.happened.wait(20)
        watch.end()
    logging.getLogger("gaovm.aio.stalls").removeHandler(told)


def test_a_waiting_loop_is_not_stalled() -> None:
    async def main() -> None:
        for _ in range(20):
            await asyncio.sleep(0.001)

    with stalls.Watch(30) as watch, asyncio.Runner(loop_factory=watch.new_loop) as runner:
        runner.run(main())
    assert (watch.count, watch.longest_s) == (0, 0.0)


def test_a_watch_of_an_idle_loop_ends() -> None:
    with stalls.Watch(30) as watch:
        pass
    assert not watch._thread.is_alive()
