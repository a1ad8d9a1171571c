"""Iterators that start the next items in advance, in a thread or on a device."""

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
    """Yield the same items in the same order, with up to ``depth`` of them produced in advance.

    An exception in ``items`` is raised here after the items before it. If the consumer stops
    early, the thread stops after its current item.

    Args:
        items: Iterated in one background thread.
        depth: Maximum number of items that wait.
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
    """Yield ``function(item)`` in order, with up to ``workers`` calls at once and in advance.

    Args:
        function: Called in several threads.
        items: Iterated in one background thread, other than the threads that call ``function``.
        workers: Number of threads for ``function``, at least 1.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="map-ahead") as pool:
        begun = (pool.submit(function, item) for item in items)
        for result in work_ahead(begun, depth=workers):
            yield result.result()


def one_behind(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each after the next one has been produced.

    If producing an item queues work on a GPU and the consumer waits for that work, the GPU already
    has the next item's work and is never idle in between.
    """
    for before in items:
        for item in items:
            yield before
            before = item
        yield before
