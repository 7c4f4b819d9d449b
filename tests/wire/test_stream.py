"""Payloads by parts: what is read, what is refused, and at which byte."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.calls import ReadingKind
from adapter.readings.lookups import Lookups
from adapter.readings.normalise import normalise
from adapter.readings.seeds import BadPart, Normal, Part, Seed
from adapter.wire import notifications
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from adapter.wire.stream import MOST_BAD_PARTS, Broken, PartBounds, parts, where_broken
from tests.support import for_every
from tests.wire.payloads import (
    SUB,
    data_arrived,
    envelope,
    event_log,
    interval,
    meter_event,
    read_data,
    register,
)

NUMERIC_KINDS = (
    "decimal", "integer", "long", "int", "short", "byte", "unsignedLong", "unsignedInt",
    "unsignedShort", "unsignedByte", "nonNegativeInteger", "positiveInteger", "float", "double",
)  # fmt: skip


def read(body: bytes, **bounds: int) -> list[Part | BadPart]:
    return list(parts([body], PartBounds(**bounds)))


def good(body: bytes) -> list[Part]:
    found = read(body)
    assert all(isinstance(part, Part) for part in found), found
    return [part for part in found if isinstance(part, Part)]


def seeds(body: bytes) -> list[Seed]:
    return [seed for part in good(body) for seed in part.seeds]


def broken(body: bytes, **bounds: int) -> Broken:
    with pytest.raises(Broken) as caught:
        read(body, **bounds)
    return caught.value


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


TWO = data_arrived(
    read_data("m1", [1, interval("2.5", "PartialInterval", "Tamper")], registers=register("7")),
    read_data("m2", [3], block=(2, 3), serial="S2"),
)


def test_every_part_is_read_with_its_byte_position() -> None:
    found = good(TWO)
    assert [part.identifier for part in found] == ["m1", "m2"]
    assert [TWO[part.position :][:12] for part in found] == [b"<b:ReadData>"] * 2
    first, second, third = [seed for part in found for seed in part.seeds]
    assert (first.texts, first.statuses) == (("1", "2.5"), {1: ("PartialInterval", "Tamper")})
    assert (second.kind, second.source, second.texts) == (
        ReadingKind.REGISTER,
        "CurrentRegister",
        ("7",),
    )
    assert (third.block, third.blocks, third.serial) == (2, 3, "S2")


@pytest.mark.parametrize("size", [1, 7, 64, 500, 100_000])
def test_it_does_not_matter_how_the_bytes_are_cut(size: int) -> None:
    assert list(parts(in_pieces(TWO, size))) == read(TWO)


@for_every("kind", NUMERIC_KINDS)
def test_a_register_of_every_numeric_kind_gives_its_exact_value(kind: str) -> None:
    (seed,) = seeds(data_arrived(read_data("m", registers=register(" 100 ", kind=f"x:{kind}"))))
    found = normalise(seed, Lookups())
    assert isinstance(found, Normal)
    assert found.rows[0][1:3] == ("0.1", "100")


@given(
    st.lists(
        st.tuples(
            st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False),
            st.sampled_from([(), ("PartialInterval",), ("PowerFailure", "Tamper")]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_the_stream_reads_what_the_codec_reads(rows: list[tuple[object, tuple[str, ...]]]) -> None:
    body = data_arrived(
        read_data("m", [interval(value, *words) for value, words in rows], registers=register("5"))
    )
    expected = sorted(
        (row.kind, row.at, row.value, row.statuses)
        for row in notifications.data_arrived(CODEC, body)
    )
    found = []
    for seed in seeds(body):
        normal = normalise(seed, Lookups())
        assert isinstance(normal, Normal)
        for at, _, head_end_value, _, words in normal.rows:
            found.append((seed.kind, at, head_end_value, tuple(words.split(",")) if words else ()))
    assert [(k, int(a.timestamp() * 1_000_000), float(v or 0), s) for k, a, v, s in expected] == [
        (k, a, float(v or 0), s) for k, a, v, s in sorted(found)
    ]


CODEC = Codec(Catalog.load())


def test_children_out_of_order_and_unknown_ones_are_read_by_name() -> None:
    odd = (
        "<b:IntervalValue><b:Extra/><b:ProfileStatuses><b:ProfileStatus>Tamper</b:ProfileStatus>"
        "</b:ProfileStatuses><b:ChannelValue>9</b:ChannelValue></b:IntervalValue>"
    )
    (seed,) = seeds(data_arrived(read_data("m", [1, odd, 3])))
    assert (seed.texts, seed.statuses) == (("1", "9", "3"), {1: ("Tamper",)})


def test_extended_statuses_are_read_after_the_others() -> None:
    odd = interval("4", "Overflow").replace(
        "</b:IntervalValue>",
        "<b:ExtendedProfileStatuses><b:ExtendedProfileStatus>InterDigit"
        "</b:ExtendedProfileStatus></b:ExtendedProfileStatuses></b:IntervalValue>",
    )
    (seed,) = seeds(data_arrived(read_data("m", [odd])))
    assert seed.statuses == {0: ("Overflow", "InterDigit")}


@pytest.mark.parametrize("old", [SUB, "http://www.itron.com/ami/2008/10/data"])
def test_wrappers_are_taken_by_local_name_in_any_namespace(old: str) -> None:
    body = TWO.replace(SUB.encode(), b"http://www.itron.com/ami/2009/08/subscribers")
    assert len(good(body)) == 2
    assert len(good(TWO[TWO.index(b"<DataArrived") : TWO.index(b"</s:Body>")])) == 2


def test_events_of_a_part_and_of_the_event_service_are_read() -> None:
    (part,) = good(data_arrived(read_data("m", log=event_log(meter_event("Down")))))
    (event,) = part.events
    assert (event.name, event.number, event.sequence) == ("Down", 18001, 4)
    assert event.arguments == (("Sample", "v"),)
    log = event_log(meter_event("Up")).replace("<b:EventLog", f'<EventLog xmlns="{SUB}"')
    body = envelope(
        f'<EventsArrived xmlns="{SUB}" xmlns:e="http://www.itron.com/ami/2008/10/events" '
        'xmlns:x="http://www.w3.org/2001/XMLSchema" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        f"<input><Identifier>m9</Identifier>{log.replace('</b:EventLog', '</EventLog')}"
        "</input></EventsArrived>"
    )
    (part,) = good(body)
    assert (part.identifier, part.events[0].name) == ("m9", "Up")


def test_exceptions_are_read() -> None:
    row = (
        "<MeterException><ElectronicSerialNumber>m3</ElectronicSerialNumber>"
        "<ReceivedWhen>2024-05-02T11:20:00.5Z</ReceivedWhen>"
        "<ExceptionCategory>PowerOutageOrRestoration</ExceptionCategory>"
        "<Name>Primary Power Down</Name><ID>18001</ID></MeterException>"
    )
    body = envelope(
        f'<ExceptionsArrived xmlns="{SUB}"><input><MeterExceptionCollection>{row * 3}'
        "</MeterExceptionCollection></input></ExceptionsArrived>"
    )
    found = good(body)
    assert [part.events[0].identifier for part in found] == ["m3"] * 3
    assert found[0].events[0].at == "2024-05-02T11:20:00.5Z"
    assert found[0].events[0].exception


# ---------------------------------------------------------------- what is bad, and where


def test_a_bad_part_is_told_with_its_position_and_the_others_are_read() -> None:
    bad = read_data("m2", [1]).replace(">m2<", "><i>m2</i><")
    body = data_arrived(read_data("m1", [1]), bad, read_data("m3", [1]))
    first, second, third = read(body)
    assert isinstance(first, Part)
    assert isinstance(third, Part)
    assert isinstance(second, BadPart)
    assert body[second.position :].startswith(bad.encode()[:40])
    assert "Identifier" in second.reason
    assert b"m2" in second.xml


EMPTY = {
    "ReadData": lambda number: data_arrived("<b:ReadData/>" * number),
    "MeterException": lambda number: envelope(
        f'<ExceptionsArrived xmlns="{SUB}"><input>{"<MeterException/>" * number}</input>'
        "</ExceptionsArrived>"
    ),
    "EventLog": lambda number: envelope(
        f'<EventsArrived xmlns="{SUB}"><input>{"<EventLog/>" * number}</input></EventsArrived>'
    ),
    "no time": lambda number: envelope(
        f'<ExceptionsArrived xmlns="{SUB}"><input>'
        + "<MeterException><ElectronicSerialNumber>m1</ElectronicSerialNumber><Timestamp>x"
        "</Timestamp></MeterException>" * number + "</input></ExceptionsArrived>"
    ),
    "another namespace": lambda number: data_arrived('<ReadData xmlns="urn:x"/>' * number),
}


@for_every("kind", EMPTY)
def test_of_a_body_with_more_than_a_thousand_bad_parts_nothing_is_taken(kind: str) -> None:
    assert len(read(EMPTY[kind](MOST_BAD_PARTS))) == MOST_BAD_PARTS
    body = EMPTY[kind](100_000)
    taken: list[Part | BadPart] = []
    with pytest.raises(
        Broken, match="more than 1000 parts cannot be read, the first one: "
    ) as told:
        taken.extend(parts([body]))
    assert len(taken) == MOST_BAD_PARTS
    before, last = taken[-2:]
    assert told.value.position == 2 * last.position - before.position


def test_a_bad_piece_of_a_part_is_no_bad_part() -> None:
    one = read_data("m1", registers='<b:RegisterValue i:nil="true"/>')
    found = good(data_arrived(one * (MOST_BAD_PARTS + 1)))
    assert all(part.bad for part in found)


def test_a_part_inside_a_part_belongs_to_it() -> None:
    nested = read_data("m1", [1]).replace("<b:RegisterValues>", "<b:X>" + read_data("in") + "</b:X>"
                                          "<b:RegisterValues>")  # fmt: skip
    body = data_arrived(nested, read_data("m2", [2]))
    found = good(body)
    assert [part.identifier for part in found] == ["m1", "m2"]
    assert body[found[1].position :].startswith(b"<b:ReadData><b:Identifier>m2")


@pytest.mark.parametrize("at", [10, 300, 700, len(TWO) - 5])
def test_a_truncated_body_is_broken_where_it_ends(at: int) -> None:
    broken(TWO[:at])
    exact = where_broken([TWO[:at]])
    assert exact is not None
    assert at - 300 <= exact.position <= at  # the tag that is cut begins there


def test_interleaved_bodies_are_broken_at_the_first_byte_that_does_not_fit() -> None:
    cut = TWO.index(b"</b:IntervalValues>")
    mixed = TWO[:cut] + TWO
    broken(mixed)
    exact = where_broken([mixed])
    assert exact is not None
    assert cut <= exact.position <= cut + 10


def test_wrong_bytes_are_broken_where_they_stand() -> None:
    at = TWO.index(b"m2")
    wrong = TWO[:at] + b"\xff\xfe" + TWO[at:]
    broken(wrong)
    exact = where_broken([wrong])
    assert exact is not None
    assert exact.position == at


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"<s:Envelope", b"<!DOCTYPE a [<!ENTITY b 'c'>]><s:Envelope", "document type"),
        (b"<input>", b"<input><?php ?>", "processing instruction"),
        (b'encoding="utf-8"', b'encoding="latin-1"', "encoding"),
        (b'version="1.0"', b'version="1.1"', "XML 1.0"),
        (b"Envelope", b"Html", "no payload"),
    ],
)
def test_what_is_never_accepted(before: bytes, after: bytes, words: str) -> None:
    error = broken(TWO.replace(before, after))
    assert words in str(error)
    assert error.position >= 0


def test_a_document_type_across_two_pieces_is_seen() -> None:
    body = b" " * 600 + TWO.replace(b"<input>", b"<input><!DOCTYPE x>")[len(b"") :]
    at = body.index(b"DOCTYPE") + 2
    with pytest.raises(Broken):
        list(parts([body[:at], body[at:]]))


def test_one_part_cannot_grow_without_end() -> None:
    body = data_arrived(read_data("m", [1] * 5_000))
    assert "bytes without an end" in str(broken(body, part_bytes=100_000))


def test_a_part_nested_too_deep_is_bad_and_the_rest_is_read() -> None:
    deep = read_data("m1", [1]).replace("<b:RegisterValues>", "<b:a>" * 40 + "</b:a>" * 40
                                        + "<b:RegisterValues>")  # fmt: skip
    first, second = read(data_arrived(deep, read_data("m2", [1])))
    assert isinstance(first, BadPart)
    assert "deeper" in first.reason
    assert isinstance(second, Part)


def test_a_part_in_no_namespace_of_the_contract_is_bad() -> None:
    body = TWO.replace(b"http://www.itron.com/ami/2008/10/data", b"http://example.org/x")
    assert all(isinstance(part, BadPart) for part in read(body))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings_that_carry_a_mark_are_read(encoding: str) -> None:
    text = TWO.decode().replace('encoding="utf-8"', f'encoding="{encoding[:6].strip("-s")}"')
    assert [part.identifier for part in good(text.encode(encoding))] == ["m1", "m2"]


def test_comments_do_not_cut_values_and_what_is_in_them_is_no_part() -> None:
    cut = interval("1<!-- -->2")
    body = data_arrived(read_data("m1", [1]), "<!-- <b:ReadData> -->", read_data("m2", [cut, 3]))
    second = good(body)[1]
    assert second.position == body.rindex(b"<b:ReadData>")
    assert second.seeds[0].texts == ("12", "3")


@pytest.mark.parametrize("size", [1, 7, 100, 65_536])
@pytest.mark.parametrize(
    "text",
    [
        '<![CDATA[<?xml version="1.0"?><report rssi="-71"/>]]>',
        "<![CDATA[<!DOCTYPE html><html>time-out</html>]]>",
        "<!-- <?php ?> <!ENTITY a 'b'> --><![CDATA[<b:ReadData>]]>",
    ],
)
def test_declarations_that_are_only_text_refuse_nobodys_data(text: str, size: int) -> None:
    log = event_log(meter_event("Door").replace(">v<", f">{text}<"))
    body = data_arrived(read_data("m1", [1], log=log), read_data("m2", [2]))
    first, second = parts([body[at : at + size] for at in range(0, len(body), size)])
    assert isinstance(first, Part)
    assert isinstance(second, Part)
    said = text.rpartition("<![CDATA[")[2].removesuffix("]]>")
    assert first.events[0].arguments == (("Sample", said),)
    assert second.position == body.rindex(b"<b:ReadData>")


def test_what_libxml2_gives_up_on_is_told_by_its_byte() -> None:
    deep = "<b:a>" * 300 + "</b:a>" * 300
    for body in (
        data_arrived(*[read_data("m1", range(96))] * 30, deep),
        data_arrived(*[read_data("m1", range(96)) + "\r\n"] * 30, deep),
    ):
        error = broken(body)
        assert "Excessive depth" in str(error)
        assert body[: error.position + 1].endswith(b"<b:a>" * 200)


def test_an_empty_body_is_broken() -> None:
    assert broken(b"").position == 0
