"""Work ahead: begin what comes next, in a thread or on a device, before it is asked for."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def work_ahead(items: Iterator[T], *, depth: int = 1) -> Iterator[T]:
    """The same items in the same order, up to ``depth`` of them made before they are asked for.

    An error of ``items`` is raised here once the items before it are consumed. A consumer that
    stops early stops the thread after the item it is making.

    Args:
        items: Consumed in one thread, which is not the caller's.
        depth: Items that wait at most.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(entry, timeout=0.2)
                break

    def produce() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stopped.is_set():
                    return
        except BaseException as error:
            put((None, error, True))
        else:
            put((None, None, True))

    threading.Thread(target=produce, name="work-ahead", daemon=True).start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()


def map_ahead(function: Callable[[T], R], items: Iterator[T], *, workers: int) -> Iterator[R]:
    """``function`` of each item in order, up to ``workers`` of them at once and ahead of need.

    Args:
        function: Called in several threads.
        items: Consumed in one thread, which is neither the caller's nor one of those.
        workers: At least 1.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="map-ahead") as pool:
        begun = (pool.submit(function, item) for item in items)
        for result in work_ahead(begun, depth=workers):
            yield result.result()


def one_behind(items: Iterator[T]) -> Iterator[T]:
    """The same items, each once the one after it has been made.

    Where making an item hands work to a GPU and taking it waits for that work, the GPU has no gap
    between two items.
    """
    for before in items:
        for item in items:
            yield before
            before = item
        yield before
