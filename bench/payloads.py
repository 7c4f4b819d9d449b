"""DataArrived of any size: 96 quarter hours of one channel for each meter."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

INTERVALS = 96
ESN = "2.16.840.1.114416.15.243."
_HEAD = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<DataArrived xmlns="http://www.itron.com/ami/2009/08/subscriptions"><input>'
    b'<ReadDataCollection xmlns:b="http://www.itron.com/ami/2008/10/data">'
)
_TAIL = b"</ReadDataCollection></input></DataArrived></s:Body></s:Envelope>"


def values() -> list[list[str]]:
    """The days that there are: meter n has that of n modulo their number. Oldest first."""
    return [
        [f"{80 + (slot * 7 + kind) % 150}.{slot % 9 + 1}" for slot in range(INTERVALS)]
        for kind in range(8)
    ]


def _intervals(texts: list[str]) -> bytes:
    return b"".join(
        b"<b:IntervalValue><b:ChannelValue>%s</b:ChannelValue><b:ProfileStatuses/>"
        b"</b:IntervalValue>" % text.encode()
        for text in texts
    )


def _never_alike(number: int) -> list[str]:
    """A day of a meter that no other meter has, of the same length for all."""
    random = Random(number)
    return [f"{random.randrange(100_000, 1_000_000) / 1000:.3f}" for _ in range(INTERVALS)]


def payload(size: int, *, repeating: bool = True, first: int = 0) -> Iterator[bytes]:
    """A DataArrived of about `size` bytes: 96 quarter hours of one channel for each meter, these by
    the numbers from `first` on. Not `repeating`, hardly a value occurs twice: a table of known
    numbers is of no use then."""
    yield _HEAD
    made = number = 0
    kinds = [_intervals(texts) for texts in values()]
    while made < size:
        day = kinds[number % len(kinds)] if repeating else _intervals(_never_alike(number))
        part = (
            b"<b:ReadData><b:Identifier>%s%d</b:Identifier><b:DeviceClass>C</b:DeviceClass>"
            b"<b:ScalingType>Scaled</b:ScalingType><b:LoadProfileChannels><b:LoadProfileChannel>"
            b"<b:IntervalLength>15</b:IntervalLength><b:PulseMultiplier>1</b:PulseMultiplier>"
            b"<b:Quantity>Wh d</b:Quantity><b:TimeDataEnd>2024-05-02T00:00:00Z</b:TimeDataEnd>"
            b"<b:IntervalValues>%s</b:IntervalValues></b:LoadProfileChannel>"
            b"</b:LoadProfileChannels><b:BlockInfo><b:Block>1</b:Block>"
            b"<b:TotalBlocks>1</b:TotalBlocks></b:BlockInfo></b:ReadData>"
            % (ESN.encode(), first + number, day)
        )
        made += len(part)
        number += 1
        yield part
    yield _TAIL


def write_payload(path: Path, size: int, *, repeating: bool = True, first: int = 0) -> int:
    """The file; how many meters are in it."""
    parts = 0
    with open(path, "wb") as file:
        for part in payload(size, repeating=repeating, first=first):
            file.write(part)
            parts += 1
        file.flush()
        os.fsync(file.fileno())  # or the system writes it out while others are measured
    return parts - 2
