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


def arm(setting: str) -> None:
    """Die at `name:n`; "" is nowhere. The environment is read once, at the import."""
    global _arrive
    _arrive = _armed(setting)


_arrive: Callable[[str], None] | None = _armed(os.environ.get("OPENWAY_CRASH_AT", ""))


def reached(name: str) -> None:
    """The process has come to the point `name`."""
    if _arrive is not None:
        _arrive(name)
