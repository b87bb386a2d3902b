"""Work done ahead in parallel, a little at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], under_way: int = 64
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) in the order of `items`.

    Unlike `Executor.map`, which takes all items at once, it never holds more than `under_way` of them.
    """
    waiting = deque()
    for item in items:
        waiting.append((item, pool.submit(function, item)))
        if len(waiting) == under_way:
            item, future = waiting.popleft()
            yield item, future.result()
    for item, future in waiting:
        yield item, future.result()
