"""xs:dateTime as it comes in: whole days, leap seconds, offsets, fractions, edges."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapter.errors import ContractViolation
from adapter.model.date_time import read_date_time
from adapter.readings.normalise import moment_of
from adapter.wire.scalars import instant
from tests.support import for_every

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HERE = timezone(timedelta(hours=-5))
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2024-01-01T00:00:00Z", MIDNIGHT),
        ("2023-12-31T24:00:00Z", MIDNIGHT),
        ("2023-12-31T24:00:00.000Z", MIDNIGHT),
        ("2023-12-31T24:00:00-05:00", MIDNIGHT + timedelta(hours=5)),
        ("2023-12-31T24:00:00", MIDNIGHT + timedelta(hours=5)),
        ("2024-02-28T24:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2023-12-31T23:59:60Z", MIDNIGHT),
        ("2024-01-01T00:59:60+01:00", MIDNIGHT),
        ("2023-12-31T23:59:60.5Z", MIDNIGHT + timedelta(seconds=0.5)),
        ("2023-12-31T18:59:60", MIDNIGHT),
        ("2024-01-01T00:00:00.1234567Z", MIDNIGHT + timedelta(microseconds=123456)),
    ],
)
def test_every_way_to_write_a_moment_is_read_alike_everywhere(text: str, at: datetime) -> None:
    assert read_date_time(text, HERE) == at
    assert instant(text, zone=HERE) == at
    assert moment_of(text, HERE) == (at - EPOCH) // timedelta(microseconds=1)


@for_every(
    "text",
    [
        "2023-12-31T24:00:01Z",
        "2023-12-31T24:00:00.1Z",
        "2023-12-31T24:01:00Z",
        "2023-12-31T24:00:60Z",
        "2023-12-31T25:00:00Z",
        "2023-12-31T23:60:00Z",
        "2023-12-31T23:59:61Z",
        "2023-02-29T24:00:00Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00Z",
        "-2024-01-01T00:00:00Z",
        "2024-01-01",
        "2024-01-01 00:00:00",
        "",
    ],
)
def test_what_is_no_moment_is_refused_by_every_reader(text: str) -> None:
    with pytest.raises(ContractViolation, match="is not a time"):
        instant(text)
    assert moment_of(text, UTC) is None
