"""Where the CPU of this process goes: threads by their clocks, the main thread also by area.

A timer that runs with the CPU time of the process interrupts the main thread. What this thread has
taken since the last interruption is put down to the area of its innermost frame that has one.
"""

import signal
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Final

MAIN: Final = "main thread"
OTHERS: Final = "others"
THREADS: Final = (MAIN, "store-writer", "store-reader", OTHERS)

_EACH_S: Final = 0.001
"""Asked for; the kernel gives one at each of its ticks, which may be 4 ms apart."""

LOOP: Final = "event loop and sockets"
CLIENT: Final = "aiohttp client"
SERVER: Final = "aiohttp server"
XML: Final = "reading and writing XML"
STEPS: Final = "pure steps"
OWN_CLIENT: Final = "client's own"
OWN_LISTENER: Final = "listener's own"
ENGINE: Final = "engine"
STORE: Final = "store hand-over"
LOG: Final = "log"
BENCH: Final = "the bench, which asks and waits"

AREAS: Final = (
    ("adapter.server.event_loop", LOOP),
    ("adapter.wire", XML),
    ("adapter.commands", STEPS),
    ("adapter.model", STEPS),
    ("adapter.events", STEPS),
    ("adapter.headend", OWN_CLIENT),
    ("adapter.web", OWN_LISTENER),
    ("adapter.server", OWN_LISTENER),
    ("adapter.engine", ENGINE),
    ("adapter.store", STORE),
    ("adapter.service.log", LOG),
    ("logging", LOG),
    ("aiohttp.client", CLIENT),
    ("aiohttp.connector", CLIENT),
    ("aiohttp.cookiejar", CLIENT),
    ("aiohttp.web", SERVER),
    ("asyncio", LOOP),
    ("uvloop", LOOP),
    ("bench", BENCH),
    ("__main__", BENCH),
)
"""The first row with which a module's name begins. What both ends of aiohttp use, and what the
standard library and C libraries take, is its caller's. The engine is told by module."""


@cache
def area_of(module: str) -> str | None:
    for prefix, area in AREAS:
        if module.startswith(prefix):
            return f"{area}: {module.rpartition('.')[2]}" if area is ENGINE else area
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Seconds of CPU by thread and, of the main thread, by area; and how many samples tell so."""

    threads: dict[str, float]
    areas: dict[str, float]
    samples: int


class Sampler:
    """Of the process and the thread in which it starts, which is the main one."""

    def __init__(self) -> None:
        self._areas: defaultdict[str, float] = defaultdict(float)
        self._before: dict[str, float] = {}
        self._last, self._samples = 0.0, 0

    def start(self) -> None:
        self._areas.clear()
        self._before = _threads()
        self._last, self._samples = time.thread_time(), 0
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EACH_S, _EACH_S)

    def stop(self) -> Sampled:
        """What was taken since the start. The handler stays: a signal that is on its way would end
        the process."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        threads = {name: cpu_s - self._before[name] for name, cpu_s in _threads().items()}
        return Sampled(threads=threads, areas=dict(self._areas), samples=self._samples)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        area = None
        while frame is not None and area is None:
            area = area_of(frame.f_globals.get("__name__", ""))
            frame = frame.f_back
        self._areas[area or OTHERS] += now - self._last
        self._last = now
        self._samples += 1


def _threads() -> dict[str, float]:
    """Seconds of CPU so far; `others` are all threads that have no row of their own."""
    found = dict.fromkeys(THREADS, 0.0)
    for thread in threading.enumerate():
        name = MAIN if thread is threading.main_thread() else thread.name
        if name in found and thread.ident is not None:
            found[name] += time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    found[OTHERS] = time.process_time() - sum(found.values())
    return found
