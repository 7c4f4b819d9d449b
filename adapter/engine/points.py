"""Named crash points: places where a test lets the process die, to see that nothing is lost.

With `OPENWAY_CRASH_AT=name:n` in the environment the process kills itself with SIGKILL at the n-th
arrival (from 1) at that name. Without it, reaching a point does nothing.
"""

import os
import signal
from collections.abc import Callable


def _armed(setting: str) -> Callable[[str], None] | None:
    name, _, count = setting.rpartition(":")
    if not name:
        return None
    left = int(count)

    def arrive(at: str) -> None:
        nonlocal left
        if at == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return arrive


_ARRIVE = _armed(os.environ.get("OPENWAY_CRASH_AT", ""))


def reached(name: str) -> None:
    """The process has come to the point `name`."""
    if _ARRIVE is not None:
        _ARRIVE(name)
