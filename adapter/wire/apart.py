"""What reads XML from outside has a thread of its own.

lxml keeps each name, namespace and run of blanks that libxml2 met in a thread, for all that is
parsed in it later. It is freed where the thread has ended and its parsers and trees are gone, and
nowhere else: who thinks of ever new names would fill the memory.
"""

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


def apart(call: Callable[[], _T]) -> _T:
    """What the call gives, or raises, in a thread that ends with it. It makes its own parsers."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
