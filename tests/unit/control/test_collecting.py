"""The garbage collector is paused by bulk calls, and goes on as it was after the last of them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from mainspring.control.collecting import collecting_later


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def test_it_goes_on_after_work_that_fails() -> None:
    @collecting_later()
    def work() -> None:
        assert not gc.isenabled()
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            work()
        assert gc.isenabled()


def test_of_several_threads_the_last_one_lets_it_go_on() -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with collecting_later():
            inside.set()
            assert leave.wait(30)

    other = threading.Thread(target=work)
    other.start()
    assert inside.wait(30)
    with collecting_later():
        assert not gc.isenabled()
    assert not gc.isenabled(), "the other thread is still at it"
    leave.set()
    other.join(30)
    assert gc.isenabled()


def test_where_it_is_off_it_stays_off() -> None:
    gc.disable()
    with collecting_later():
        assert not gc.isenabled()
    assert not gc.isenabled()
