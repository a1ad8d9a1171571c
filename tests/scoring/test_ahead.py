"""Work ahead of the consumer, in order, and to the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from behavior_spark.scoring.ahead import map_ahead, one_behind, work_ahead


def threads() -> int:
    return sum(thread.name == "work-ahead" for thread in threading.enumerate())


def wait_for_no_thread() -> None:
    for _ in range(50):
        if not threads():
            return
        time.sleep(0.1)
    raise AssertionError("a thread was left")


def test_items_come_in_order_and_are_made_before_they_are_asked_for() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    ahead = work_ahead(numbers())
    assert next(ahead) == 0
    for _ in range(50):
        if len(made) > 1:
            break
        time.sleep(0.02)
    assert len(made) in (2, 3)  # one waits, one more is in the maker's hand
    assert list(ahead) == [1, 2, 3, 4]
    wait_for_no_thread()


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = work_ahead(failing())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)
    wait_for_no_thread()


def test_a_consumer_that_stops_leaves_no_thread() -> None:
    ahead = work_ahead(iter(range(1000)))
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    wait_for_no_thread()


def test_nothing_gives_nothing() -> None:
    assert list(work_ahead(iter(()))) == []


def test_one_behind_takes_an_item_once_the_next_is_made():
    made = []

    def items():
        for number in range(4):
            made.append(number)
            yield number

    taken = [(item, len(made)) for item in one_behind(items())]
    assert taken == [(0, 2), (1, 3), (2, 4), (3, 4)]
    assert list(one_behind(iter([]))) == [] and list(one_behind(iter("a"))) == ["a"]


@pytest.mark.parametrize("workers", [1, 4])
def test_map_ahead_keeps_the_order_whichever_is_ready_first(workers):
    def slow(number):
        time.sleep(0.02 if number % 3 == 0 else 0.0)
        return number * number

    assert list(map_ahead(slow, iter(range(12)), workers=workers)) == [n * n for n in range(12)]


def test_map_ahead_calls_the_function_in_several_threads_at_once():
    together = threading.Barrier(3, timeout=20)
    assert list(map_ahead(lambda _: together.wait() >= 0, iter(range(3)), workers=3)) == [True] * 3


def test_map_ahead_gives_what_came_before_an_error_and_then_the_error():
    found = map_ahead(lambda number: 6 // number, iter([3, 2, 0, 1]), workers=2)
    assert [next(found), next(found)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_map_ahead_stops_when_its_consumer_does():
    taken = []
    found = map_ahead(taken.append, iter(range(1_000)), workers=2)
    next(found)
    found.close()
    count = len(taken)
    time.sleep(0.3)
    assert len(taken) == count < 20
