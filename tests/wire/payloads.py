"""Payload bodies written by hand, as the head end's stack writes them."""

from collections.abc import Iterable

DAT = "http://www.itron.com/ami/2008/10/data"
SUB = "http://www.itron.com/ami/2009/08/subscriptions"
EVT = "http://www.itron.com/ami/2008/10/events"


def envelope(content: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f"{content}</s:Body></s:Envelope>"
    ).encode()


def data_arrived(*parts: str) -> bytes:
    return envelope(
        f'<DataArrived xmlns="{SUB}"><input><ReadDataCollection xmlns:b="{DAT}" xmlns:e="{EVT}" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:x="http://www.w3.org/2001/XMLSchema">'
        f"{''.join(parts)}</ReadDataCollection></input></DataArrived>"
    )


def read_data(
    esn: str,
    values: Iterable[object] = (),
    *,
    end: str = "2024-05-02T00:00:00Z",
    quantity: str = "Wh d",
    block: tuple[int, int] = (1, 1),
    registers: str = "",
    log: str = "",
    scaling: str = "Scaled",
    pulse: str = "1",
    serial: str = "",
) -> str:
    rows = "".join(value if isinstance(value, str) else interval(value) for value in values)
    channel = (
        "<b:LoadProfileChannels><b:LoadProfileChannel><b:IntervalLength>15</b:IntervalLength>"
        f"<b:PulseMultiplier>{pulse}</b:PulseMultiplier><b:Quantity>{quantity}</b:Quantity>"
        f"<b:TimeDataEnd>{end}</b:TimeDataEnd><b:IntervalValues>{rows}</b:IntervalValues>"
        "</b:LoadProfileChannel></b:LoadProfileChannels>"
        if rows
        else ""
    )
    return (
        f"<b:ReadData><b:Identifier>{esn}</b:Identifier><b:DeviceClass>ITR1</b:DeviceClass>"
        f"<b:ScalingType>{scaling}</b:ScalingType>{log}{channel}"
        f"<b:RegisterValues>{registers}</b:RegisterValues>"
        f"<b:BlockInfo><b:Block>{block[0]}</b:Block><b:TotalBlocks>{block[1]}</b:TotalBlocks>"
        f"</b:BlockInfo><b:DeviceSerialNumber>{serial}</b:DeviceSerialNumber></b:ReadData>"
    )


def interval(value: object, *statuses: str) -> str:
    words = "".join(f"<b:ProfileStatus>{word}</b:ProfileStatus>" for word in statuses)
    listed = f"<b:ProfileStatuses>{words}</b:ProfileStatuses>" if words else "<b:ProfileStatuses/>"
    return f"<b:IntervalValue><b:ChannelValue>{value}</b:ChannelValue>{listed}</b:IntervalValue>"


def register(
    value: str,
    *,
    kind: str = "x:decimal",
    at: str = "2024-05-02T00:00:00Z",
    source: str = "CurrentRegister",
) -> str:
    return (
        f"<b:RegisterValue><b:Quantity>Wh d</b:Quantity><b:Source>{source}</b:Source>"
        f'<b:Timestamp>{at}</b:Timestamp><b:Value i:type="{kind}">{value}</b:Value>'
        "</b:RegisterValue>"
    )


def meter_event(name: str, at: str = "2024-05-01T07:12:09Z") -> str:
    return (
        f"<e:MeterEvent><e:Timestamp>{at}</e:Timestamp><e:Category>StatusEvent</e:Category>"
        f"<e:LogType>History</e:LogType><e:Name>{name}</e:Name><e:Arguments><e:Argument>"
        '<e:Name>Sample</e:Name><e:Value i:type="x:string">v</e:Value></e:Argument></e:Arguments>'
        "<e:ID>18001</e:ID><e:SequenceNumber>4</e:SequenceNumber></e:MeterEvent>"
    )


def event_log(*events: str, unreported: int | None = None) -> str:
    lost = (
        ""
        if unreported is None
        else f"<e:UnreportedEventCount>{unreported}</e:UnreportedEventCount>"
    )
    return f"<b:EventLog><e:MeterEvents>{''.join(events)}</e:MeterEvents>{lost}</b:EventLog>"
