"""The worker process: jobs from standard input, what became of them to standard output.

A frame is four bytes of length, one byte of kind, and the content. A job names a file and the
document of the lookups. With a place for the values it is answered by what was staged, again and
again; with numbers of parts, by a batch of each; and by one end. The worker leaves with its parent:
when its input ends or nobody reads any more.
"""

import gc
import importlib
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

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
    while head := source.read(HEAD.size):
        job = json.loads(source.read(*HEAD.unpack(head)))
        if job["tables"] != tables[0]:
            tables = (job["tables"], read_tables(json.loads(job["tables"])))
        try:
            apart(partial(_work, job, tables[1], sink))
        except BrokenPipeError:
            os._exit(0)


def _stand_back() -> None:
    """Whoever answers callbacks goes first."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _work(job: Mapping[str, Any], lookups: Lookups, sink: BinaryIO) -> None:
    end: dict[str, object] = {}
    path = Path(job["file"])
    gc.disable()
    try:
        if "place" in job:
            _stage(path, lookups, msgspec.convert(job["place"], StagingTarget), sink)
        else:
            for batch in batches(pieces_of(path), lookups, only=job["only"]):
                _send(sink, DONE, _encode(batch))
    except Broken as error:
        exact = refusal(path, error)
        end = {"reason": str(exact), "position": exact.position}
    except StoreFailed as error:
        end = {"failed": str(error)}
    except BrokenPipeError:
        raise
    except OSError as error:
        end = {"reason": f"{type(error).__name__}: {error}", "position": -1}
    except Exception as error:  # of this body alone: the worker lives on for the others
        end = {"unexpected": f"{type(error).__name__}: {error}"}
    finally:
        gc.enable()
    _send(sink, END, json.dumps(end).encode())


def _stage(path: Path, lookups: Lookups, place: StagingTarget, sink: BinaryIO) -> None:
    stage: StagingWriter = importlib.import_module(place.module).open_place(place, lookups)
    try:
        made = batches(pieces_of(path), lookups)
        while some := list(islice(made, AT_ONCE)):
            _send(sink, DONE, _encode(stage.put(some)))
        stage.seal()
    finally:
        stage.close()


def _send(sink: BinaryIO, kind: bytes, content: bytes) -> None:
    sink.write(HEAD.pack(len(content) + 1) + kind)
    sink.write(content)
    sink.flush()


if __name__ == "__main__":
    main()
