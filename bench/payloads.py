"""DataArrived of any size: 96 quarter hours of one channel for each meter."""

import os
from collections.abc import Iterator
from pathlib import Path

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


def payload(size: int) -> Iterator[bytes]:
    """A DataArrived of about `size` bytes: 96 quarter hours of one channel for each meter."""
    yield _HEAD
    made = number = 0
    kinds = [
        b"".join(
            b"<b:IntervalValue><b:ChannelValue>%s</b:ChannelValue><b:ProfileStatuses/>"
            b"</b:IntervalValue>" % text.encode()
            for text in texts
        )
        for texts in values()
    ]
    while made < size:
        part = (
            b"<b:ReadData><b:Identifier>%s%d</b:Identifier><b:DeviceClass>C</b:DeviceClass>"
            b"<b:ScalingType>Scaled</b:ScalingType><b:LoadProfileChannels><b:LoadProfileChannel>"
            b"<b:IntervalLength>15</b:IntervalLength><b:PulseMultiplier>1</b:PulseMultiplier>"
            b"<b:Quantity>Wh d</b:Quantity><b:TimeDataEnd>2024-05-02T00:00:00Z</b:TimeDataEnd>"
            b"<b:IntervalValues>%s</b:IntervalValues></b:LoadProfileChannel>"
            b"</b:LoadProfileChannels><b:BlockInfo><b:Block>1</b:Block>"
            b"<b:TotalBlocks>1</b:TotalBlocks></b:BlockInfo></b:ReadData>"
            % (ESN.encode(), number, kinds[number % len(kinds)])
        )
        made += len(part)
        number += 1
        yield part
    yield _TAIL


def write_payload(path: Path, size: int) -> int:
    """The file; how many meters are in it."""
    parts = 0
    with open(path, "wb") as file:
        for part in payload(size):
            file.write(part)
            parts += 1
        file.flush()
        os.fsync(file.fileno())  # or the system writes it out while others are measured
    return parts - 2
