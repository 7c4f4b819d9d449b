"""Processes for tests that kill them, forked from one that has already imported everything.

Each is a process of its own, with its own files, threads and crash point: SIGKILL is as final as
for one started from a shell, but it starts in a fraction of the time. Orders come as JSON lines on
standard input, exit statuses go as lines to standard output, negative for a signal:

    {"module": NAME, "arguments": [...], "environment": {...}, "output": FILE}
"""

import atexit
import ctypes
import functools
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[1]
_PR_SET_PDEATHSIG: Final = 1


LONGEST_S: Final = 100.0


def python(module: str, *arguments: str, **environment: str) -> tuple[int, bytes]:
    """As `python -m module arguments` with this environment: exit status and standard output."""
    with tempfile.NamedTemporaryFile(prefix="forked-") as output:
        order = {
            "module": module,
            "arguments": arguments,
            "environment": environment,
            "output": output.name,
        }
        parent = _parent()
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(json.dumps(order).encode() + b"\n")
        parent.stdin.flush()
        ended, _, _ = select.select([parent.stdout], [], [], LONGEST_S)
        if not ended:
            parent.kill()  # and with it what it forked
            _parent.cache_clear()
            raise TimeoutError(f"{module} has not ended after {LONGEST_S:g} s")
        return int(parent.stdout.readline()), output.read()


def ready() -> None:
    """Have the process started that all others are forked from. It ends with the thread that starts
    it: who asks for processes from other threads calls this in the test's own before."""
    _parent()


@functools.cache
def _parent() -> "subprocess.Popen[bytes]":
    """The process that all others are forked from: one for all tests of this process."""
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.forked"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    )

    def close() -> None:
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdin.close()
        made.wait(30.0)
        made.stdout.close()

    atexit.register(close)
    return made


# ---------------------------------------------------------------- in the process that forks


def _die_with_the_parent() -> None:
    """So that a test run that is cut off leaves nothing behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _child(order: dict[str, Any]) -> int:
    from adapter.engine import crash_points

    _die_with_the_parent()
    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_APPEND), 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environment"])
    crash_points.arm(os.environ.get("OPENWAY_CRASH_AT", ""))
    sys.argv[1:] = order["arguments"]
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    import adapter.service.app  # noqa: F401  # what every child needs, imported once
    from adapter.wire.codec import packaged_codec

    _die_with_the_parent()
    packaged_codec()
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            status = _child(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
