"""Files and directories that people hand in: spooled like bodies that the head end sends."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from adapter.engine.commands.ports import Clock
from adapter.engine.readings.spool import Spool, Ticket, pieces_of
from adapter.errors import InvalidRequest

_SUFFIXES = (".xml", ".xml.gz")


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in directories named, in a fixed order.

    Raises InvalidRequest for what is not there.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(
                item for item in path.rglob("*") if item.is_file() and item.name.endswith(_SUFFIXES)
            )
        elif path.is_file():
            yield path
        else:
            raise InvalidRequest("path", f"{path} is neither a file nor a directory")


async def hand_in(spool: Spool, path: Path, clock: Clock, *, corrects: int | None = None) -> Ticket:
    """Spool one file; durable when it returns. Raises OSError, StoreFailed.

    Once it is loaded without a bad part, those of payload `corrects` are closed, and that payload
    where it was refused as a whole.
    """
    now = clock.now()
    spooling = spool.begin(now)
    try:
        for piece in pieces_of(path):
            await spooling.add(piece)
        spooled = await spooling.done()
    except BaseException:
        await spooling.drop()
        raise
    ticket = Ticket(
        file=spooled.file,
        source=path.name,
        size=spooled.size,
        digest=spooled.digest,
        at=now,
        corrects=corrects,
    )
    spool.hand_in(ticket)
    return ticket
