"""The event loop of what serves and is served: uvloop where it is installed, else asyncio's own.

uvloop is not to be had on Windows nor for PyPy. Everything works without it, and takes more CPU.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run` does."""
    with asyncio.Runner(loop_factory=factory()) as runner:
        return runner.run(main)


def name() -> str:
    """Of the loop that runs here: `uvloop` or `asyncio`."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes one; None: whatever asyncio makes."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
