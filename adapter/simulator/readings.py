"""dat:ReadData of one meter, as asked: registers, load profile, events, in one block or several.

Which register a flag brings and at which moment is inferred from the flags' names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import ReadParameters
from adapter.simulator.bodies import Body, flag, text, wire_time
from adapter.simulator.energy import Interval, intervals, quantities, total_wh
from adapter.simulator.flaws import Flaws
from adapter.simulator.jobs import JobRequest
from adapter.simulator.meters import Meter

_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RetrieveRecentRegisters": "CurrentRegister",
        "RetrieveRecentRegisterData": "CurrentRegister",
        "RetrieveInstantaneousData": "PresentRegister",
        "PerformAndRetrieveSelfRead": "SelfReadRegister",
        "RetrievePriorSelfRead": "SelfReadRegister",
        "RetrieveLastDemandReset": "DemandResetRegister",
    }
)
"""Which dat:RegisterSource a flag brings (inferred). All are told as of the period's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One value that nobody asked for: a register, or an interval of so many seconds up to `at`.

    `wh` in watt-hours; `statuses` are words of dat:ProfileStatus, which registers have none of.
    """

    endpoint: str = ""
    serial: str = ""
    at: datetime
    wh: Decimal
    seconds: int = 0
    statuses: tuple[str, ...] = ()
    quantity: str = "Wh d"


def read_data_of(told: Told) -> dict[str, object]:
    """dat:ReadData with this one value."""
    row: dict[str, object] = {
        "Identifier": told.endpoint,
        "DeviceClass": "",
        "ScalingType": "Scaled",
        "BlockInfo": {"Block": 1, "TotalBlocks": 1},
        "DeviceSerialNumber": told.serial,
    }
    if told.seconds:
        value = {"ChannelValue": str(told.wh), "ProfileStatuses": list(told.statuses)}
        row["LoadProfileChannels"] = [
            {
                "IntervalLength": told.seconds // 60,
                "PulseMultiplier": "1",
                "Quantity": told.quantity,
                "TimeDataEnd": wire_time(told.at),
                "IntervalValues": [value],
            }
        ]
    else:
        row["RegisterValues"] = [
            {
                "Quantity": told.quantity,
                "Source": "CurrentRegister",
                "Timestamp": wire_time(told.at),
                "Value": typed("xs:decimal", str(told.wh)),
            }
        ]
    return row


def asked_for(
    parameters: Body, start: datetime, end: datetime
) -> tuple[ReadParameters, tuple[str, ...]]:
    """The parameters of a read, and the sources of the registers that its flags bring.

    A request without any flag brings registers (inferred): one that asks for nothing is of no use.
    """
    profile = flag(parameters, "RetrieveLoadProfileData")
    profile = profile or flag(parameters, "RetrieveExtendedLoadProfileData")
    events = flag(parameters, "RetrieveLogEvents")
    given = (source for name, source in _SOURCES.items() if flag(parameters, name))
    sources = tuple(dict.fromkeys(given))
    reports = text(parameters, "ReportSelfReadOption") not in ("", "None")
    if not (profile or events or sources or reports):
        sources = ("CurrentRegister",)
    registers = bool(sources) or reports
    read = ReadParameters(
        start=start, end=end, load_profile=profile, registers=registers, events=events
    )
    return read, sources


def read_data(
    meter: Meter,
    asked: JobRequest,
    *,
    now: datetime,
    flaws: Flaws,
    per_block: int = 0,
) -> list[dict[str, object]]:
    """What this meter sends for one read: its blocks, numbered from 1 (inferred)."""
    read = asked.read
    if read is None:
        return []
    until, seed = min(read.end, now), flaws.seed
    head: dict[str, object] = {
        "Identifier": meter.esn,
        "DeviceClass": meter.device_class,
        "ScalingType": "None" if meter.pulse else "Scaled",
    }
    profile = _profile(meter, read, until, flaws) if read.load_profile else {}
    blocks = _blocks(profile, per_block, meter.pulse)
    sent: list[dict[str, object]] = []
    for index, channels in enumerate(blocks):
        row = dict(head)
        if read.events and index == 0:
            row["EventLog"] = _event_log(meter, read.start, until)
        if channels:
            row["LoadProfileChannels"] = channels
        if read.registers and index == 0:
            row["RegisterValues"] = _registers(meter, asked, read.start, until, seed)
        row["BlockInfo"] = {"Block": index + 1, "TotalBlocks": len(blocks)}
        row["DeviceSerialNumber"] = meter.serial
        sent.append(row)
    return sent


def _profile(
    meter: Meter, read: ReadParameters, until: datetime, flaws: Flaws
) -> dict[str, list[Interval]]:
    return {
        quantity: flaws.applied(
            intervals(meter, quantity, start=read.start, end=until, seed=flaws.seed), meter.esn
        )
        for quantity in quantities(meter)
    }


def _blocks(
    profile: Mapping[str, list[Interval]], per_block: int, pulse: str
) -> list[list[dict[str, object]]]:
    """Channels cut alike into blocks of at most `per_block` intervals; 0 cuts nothing."""
    longest = max((len(rows) for rows in profile.values()), default=0)
    size = per_block or max(longest, 1)
    count = max(1, -(-longest // size))
    return [
        [
            _channel(quantity, rows[block * size : (block + 1) * size], pulse)
            for quantity, rows in profile.items()
            if rows[block * size : (block + 1) * size]
        ]
        for block in range(count)
    ]


def _channel(quantity: str, rows: list[Interval], pulse: str) -> dict[str, object]:
    """In watt-hours; or in pulses of so many watt-hours each, where `pulse` says so."""
    factor = int(1 / Decimal(pulse)) if pulse else 1
    return {
        "IntervalLength": 15,
        "PulseMultiplier": pulse or "1",
        "Quantity": quantity,
        "TimeDataEnd": wire_time(rows[-1].end),
        "IntervalValues": [
            _value(str(wh * factor), statuses, extended) for _, wh, statuses, extended in rows
        ],
    }


@lru_cache(maxsize=16_384)
def _value(text: str, statuses: tuple[str, ...], extended: tuple[str, ...]) -> dict[str, object]:
    """Shared by all intervals that tell the same: nobody may change it."""
    value: dict[str, object] = {"ChannelValue": text, "ProfileStatuses": statuses}
    if extended:
        value["ExtendedProfileStatuses"] = extended
    return value


def energy_told(blocks: Iterable[Body]) -> dict[str, tuple[int, Decimal]]:
    """What blocks of load profile tell, by quantity: how many intervals, and their sum in Wh."""
    told: dict[str, tuple[int, Decimal]] = {}
    for block in blocks:
        for channel in _rows(block, "LoadProfileChannels"):
            values = [int(str(each["ChannelValue"])) for each in _rows(channel, "IntervalValues")]
            count, wh = told.get(quantity := text(channel, "Quantity"), (0, Decimal()))
            worth = sum(values) * Decimal(text(channel, "PulseMultiplier"))
            told[quantity] = (count + len(values), wh + worth)
    return told


def _rows(body: Body, name: str) -> list[Body]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def _registers(
    meter: Meter, asked: JobRequest, start: datetime, until: datetime, seed: int
) -> list[dict[str, object]]:
    moments = [(source, until) for source in asked.sources]
    if asked.self_reads == "ReportAtStartTime":
        moments.append(("SelfReadRegister", start))
    elif asked.self_reads == "ReportAtEndTime":
        moments.append(("SelfReadRegister", until))
    elif asked.self_reads == "ReportAllInPeriod":
        moments += [("SelfReadRegister", midnight) for midnight in _midnights(start, until)]
    return [
        {
            "Quantity": quantity,
            "Source": source,
            "Timestamp": wire_time(moment.replace(microsecond=0)),
            "Value": typed("xs:decimal", str(total_wh(meter, quantity, moment, seed=seed))),
        }
        for source, moment in dict.fromkeys(moments)
        for quantity in quantities(meter)
    ]


def typed(kind: str, value: str) -> dict[str, object]:
    """A value of xs:anyType with its xsi:type."""
    return {"type": kind, "value": value}


def _midnights(start: datetime, end: datetime) -> list[datetime]:
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (end - first).days + 1
    midnights = (first + timedelta(days=day) for day in range(days))
    return [midnight for midnight in midnights if start <= midnight <= end]


def _event_log(meter: Meter, start: datetime, end: datetime) -> dict[str, object]:
    """The meter's outages of the period, as the two events whose names and numbers are known."""
    told = (
        (name, number, at)
        for since, to in meter.outages
        for name, number, at in (
            ("Primary Power Down", 18_001, since),
            ("Primary Power Up", 18_002, to),
        )
    )
    rows = [
        power_event(name, number, at, sequence)
        for sequence, (name, number, at) in enumerate(told)
        if start <= at <= end
    ]
    return {"MeterEvents": rows, "UnreportedEventCount": 0}


def power_event(name: str, number: int, at: datetime, sequence: int) -> dict[str, object]:
    return {
        "Timestamp": wire_time(at),
        "Category": "PowerOutageOrRestoration",
        "LogType": "Event",
        "Name": name,
        "ID": number,
        "SequenceNumber": sequence,
    }
