"""The worker process: reads jobs from standard input, writes batches to standard output.

A frame is four bytes of length, one byte of kind, and the content. A job names a file and the
document of the lookups; it is answered by batches and one end. The worker leaves with its parent:
when its input ends or nobody reads any more.
"""

import gc
import json
import os
import signal
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from adapter.engine.data_ports import Batch
from adapter.engine.spool import pieces_of
from adapter.intake.batches import batches
from adapter.intake.tables import read_tables
from adapter.readings.lookups import Lookups
from adapter.wire.stream import Broken, where_broken

BATCH: Final = b"B"
END: Final = b"E"
HEAD: Final = struct.Struct(">I")
encode_batch: Final = msgspec.msgpack.Encoder().encode
decode_batch: Final = msgspec.msgpack.Decoder(Batch).decode


def refusal(path: Path, error: Broken) -> Broken:
    """The same with the exact byte, where the body is not well-formed."""
    if not str(error).startswith("not well-formed"):
        return error
    return where_broken(pieces_of(path)) or error


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    gc.freeze()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    tables: tuple[str, Lookups] = ("", Lookups())
    while head := source.read(HEAD.size):
        job = json.loads(source.read(*HEAD.unpack(head)))
        if job["tables"] != tables[0]:
            tables = (job["tables"], read_tables(json.loads(job["tables"])))
        try:
            _work(Path(job["file"]), tables[1], sink, job["only"])
        except BrokenPipeError:
            os._exit(0)


def _work(path: Path, lookups: Lookups, sink: BinaryIO, only: Sequence[int]) -> None:
    end: dict[str, object] = {}
    gc.disable()
    try:
        for batch in batches(pieces_of(path), lookups, only=only):
            _send(sink, BATCH, encode_batch(batch))
    except Broken as error:
        exact = refusal(path, error)
        end = {"reason": str(exact), "position": exact.position}
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        end = {"reason": f"{type(error).__name__}: {error}", "position": -1}
    finally:
        gc.enable()
    _send(sink, END, json.dumps(end).encode())
    sink.flush()


def _send(sink: BinaryIO, kind: bytes, content: bytes) -> None:
    sink.write(HEAD.pack(len(content) + 1) + kind)
    sink.write(content)


if __name__ == "__main__":
    main()
