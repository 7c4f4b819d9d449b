"""Processes that are measured: started, asked by lines of JSON, ended with their input.

CPU is user and system time of all threads of one process, by the clock that Linux keeps for it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

LOOK_S: Final = 0.05
QUIET_LOOKS: Final = 3
"""One alone may be of a process that wanted a core and had none."""

_QUIET_SHARE: Final = 0.1
_LONGEST_S: Final = 10.0


class Side:
    """One process. It says first, in one line, that it is ready and what there is to know."""

    def __init__(self, *arguments: str) -> None:
        places = os.pathsep.join(place for place in ("", *sys.path))
        self._name = arguments[0]
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": places},
        )
        try:
            self.ready = self.answer()
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        return cpu_of(self._process.pid)

    @property
    def memory(self) -> int:
        """Bytes that the process has in memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = [each for each in status.splitlines() if each.startswith("VmRSS")]
        return int(line.split()[1]) * 1024

    def ask(self, **what: Any) -> dict[str, Any]:
        """What the process answers. Raises SystemExit when it has ended instead."""
        self.begin(**what)
        return self.answer()

    def begin(self, **what: Any) -> None:
        """As `ask`; what the process answers is `answer`, unless it is killed before."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} ended; what it wrote is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rest(self) -> None:
        """Wait until the process has had nothing to do for a while, at most 10 s."""
        looks, end = 0, time.monotonic() + _LONGEST_S
        while looks < QUIET_LOOKS and time.monotonic() < end:
            before = self.cpu_s
            time.sleep(LOOK_S)
            looks = looks + 1 if is_quiet(self.cpu_s - before) else 0

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Let it end by itself; it is killed where it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=120)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        self._process.stdout.close()


@contextmanager
def side(*arguments: str) -> Iterator[Side]:
    """A process that ends with the block."""
    started = Side(*arguments)
    try:
        yield started
    finally:
        started.end()


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has taken so far, all threads (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def is_quiet(cpu_s: float) -> bool:
    """Whether that much CPU within LOOK_S is of a process with nothing to do."""
    return cpu_s < _QUIET_SHARE * LOOK_S


def answer(handle: Callable[..., dict[str, Any]], **ready: Any) -> None:
    """The other end, in a process that has no event loop: until the input ends."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(handle(**json.loads(line))), flush=True)
