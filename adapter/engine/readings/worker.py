"""The worker process: jobs from standard input, what became of them to standard output.

A frame is four bytes of length, one byte of kind, and the content. A job names a file and the
document of the lookups. With a place for the values it is answered by what was staged, again and
again; without one by batches, each of one part where it names parts; and by one end. With `ahead` a
second worker reads the file while this one stages: only one can write at a time. The worker leaves
with its parent: when its input ends or nobody reads any more.
"""

import gc
import importlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

import msgspec

from adapter.engine.readings.batches import batches
from adapter.engine.readings.ports import Batch, Staged, StagingTarget, StagingWriter
from adapter.engine.readings.spool import pieces_of
from adapter.engine.readings.tables import read_tables
from adapter.errors import StoreFailed
from adapter.readings.lookups import Lookups
from adapter.wire.apart import apart
from adapter.wire.stream import Broken, where_broken

DONE: Final = b"D"
END: Final = b"E"
HEAD: Final = struct.Struct(">I")
AT_ONCE: Final = 4
"""Batches in one transaction and one frame."""

_NICE: Final = 19
_encode: Final = msgspec.msgpack.Encoder().encode
decode_staged: Final = msgspec.msgpack.Decoder(Staged).decode
decode_batch: Final = msgspec.msgpack.Decoder(Batch).decode


def refusal(path: Path, error: Broken) -> Broken:
    """The same with the exact byte, where the body is not well-formed."""
    if not str(error).startswith("not well-formed"):
        return error
    return where_broken(pieces_of(path)) or error


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stand_back()
    gc.freeze()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    tables: tuple[str, Lookups] = ("", Lookups())
    second = SecondWorker()
    while head := source.read(HEAD.size):
        job = json.loads(source.read(*HEAD.unpack(head)))
        if job["tables"] != tables[0]:
            tables = (job["tables"], read_tables(json.loads(job["tables"])))
        try:
            apart(partial(_work, job, tables[1], sink, second))
        except BrokenPipeError:
            os._exit(0)
        except SecondWorkerDied:
            os._exit(1)  # it counts as one: whoever asked for this tries again


def _stand_back() -> None:
    """Whoever answers callbacks goes first."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _work(job: Mapping[str, Any], lookups: Lookups, sink: BinaryIO, second: "SecondWorker") -> None:
    end: dict[str, object] = {}
    path = Path(job["file"])
    gc.disable()
    try:
        if "place" in job:
            place = msgspec.convert(job["place"], StagingTarget)
            if job["ahead"]:
                with closing(second.batches(job)) as made:
                    _stage(made, lookups, place, sink)
            else:
                _stage(batches(pieces_of(path), lookups), lookups, place, sink)
        else:
            for batch in batches(pieces_of(path), lookups, only=job["only"]):
                _send(sink, DONE, _encode(batch))
    except Broken as error:
        exact = refusal(path, error)
        end = {"reason": str(exact), "position": exact.position}
    except StoreFailed as error:
        end = {"failed": str(error)}
    except _Ended as ended:
        end = ended.end
    except (BrokenPipeError, SecondWorkerDied):
        raise
    except OSError as error:
        end = {"reason": f"{type(error).__name__}: {error}", "position": -1}
    except Exception as error:  # of this body alone: the worker lives on for the others
        end = {"unexpected": f"{type(error).__name__}: {error}"}
    finally:
        gc.enable()
    _send(sink, END, json.dumps(end).encode())


def _stage(made: Iterator[Batch], lookups: Lookups, place: StagingTarget, sink: BinaryIO) -> None:
    stage: StagingWriter = importlib.import_module(place.module).open_place(place, lookups)
    try:
        while some := list(islice(made, AT_ONCE)):
            _send(sink, DONE, _encode(stage.put(some)))
        stage.seal()
    finally:
        stage.close()


class SecondWorkerDied(Exception):
    """In the middle of a body."""


class _Ended(Exception):
    """The second worker could not read on; `end` is what it says of that."""

    def __init__(self, end: dict[str, object]) -> None:
        self.end = end


class SecondWorker:
    """Reads files for this worker. It is started at the first one, and leaves with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def batches(self, job: Mapping[str, Any]) -> Generator[Batch, None, None]:
        """Of all parts, as they are read. Raises _Ended, SecondWorkerDied. It is to be closed: what
        the process would still say is never taken for an answer to the next."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "adapter.engine.readings.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        content = json.dumps({"file": job["file"], "tables": job["tables"], "only": []}).encode()
        kind = DONE
        try:
            sink.write(HEAD.pack(len(content)) + content)
            sink.flush()
            while kind != END:
                (length,) = HEAD.unpack(_exactly(source, HEAD.size))
                frame = memoryview(_exactly(source, length))
                kind = bytes(frame[:1])
                if kind == DONE:
                    yield decode_batch(frame[1:])
        except OSError as error:
            raise SecondWorkerDied from error
        finally:
            if kind != END:
                self.stop()
        if end := json.loads(bytes(frame[1:])):
            raise _Ended(end)

    def stop(self) -> None:
        """End it, whatever it is at."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _exactly(source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise SecondWorkerDied
    return content


def _send(sink: BinaryIO, kind: bytes, content: bytes) -> None:
    sink.write(HEAD.pack(len(content) + 1) + kind)
    sink.write(content)
    sink.flush()


if __name__ == "__main__":
    main()
