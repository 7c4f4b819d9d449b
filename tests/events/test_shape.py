"""Pure: one shape for all events, and pairs that become spells in whatever order they come."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.effects import Severity
from adapter.events.pairing import (
    DeviceEvent,
    PairEnd,
    Spell,
    UnknownEvent,
    mark_of,
    spells,
    unify,
)
from adapter.events.types import (
    EventType,
    PairRole,
    StormRule,
    event_tables,
)
from adapter.model.ids import EndpointId
from adapter.readings.seeds import EventSeed

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
METER = EndpointId("2.16.840.1.114416.15.243.700001")


def a_seed(name: str = "Primary Power Down", **rest: object) -> EventSeed:
    return EventSeed(identifier=METER, at=AT.isoformat(), name=name, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Primary Power Down", "primarypowerdown", " PRIMARY power  down"])
def test_a_name_is_known_whatever_its_blanks_and_case(name: str) -> None:
    event = unify(a_seed(name), METER, AT, event_tables())
    assert isinstance(event, DeviceEvent)
    assert (event.name, event.role, event.head_end_name) == ("power_down", PairRole.FIRST, name)


def test_a_name_that_is_missing_is_told_by_its_number() -> None:
    event = unify(a_seed("", number=18_002), METER, AT, event_tables())
    assert isinstance(event, DeviceEvent)
    assert event.name == "power_up"


def test_what_no_table_knows_is_kept_as_it_came() -> None:
    seed = a_seed("Cover Removed", number=7)
    assert unify(seed, METER, AT, event_tables()) == UnknownEvent(endpoint=METER, at=AT, seed=seed)


def test_a_row_of_the_site_decides_name_category_and_severity() -> None:
    row = EventType(
        name="Cover Removed", standard="tamper", category="Tamper", severity=Severity.CRITICAL
    )
    event = unify(a_seed("Cover Removed", category="StatusEvent"), METER, AT, event_tables([row]))
    assert isinstance(event, DeviceEvent)
    assert (event.name, event.category, event.severity) == ("tamper", "Tamper", Severity.CRITICAL)


def test_the_same_event_told_by_exception_and_by_log_has_one_id() -> None:
    tables = event_tables()
    one = unify(a_seed(sequence=3, exception=True), METER, AT, tables)
    two = unify(a_seed(sequence=3, log_type="Event"), METER, AT, tables)
    assert isinstance(one, DeviceEvent)
    assert isinstance(two, DeviceEvent)
    assert one.id == two.id


def test_the_first_storm_rule_that_covers_an_event_counts() -> None:
    power = StormRule(category="PowerOutageOrRestoration", publications=5)
    tables = event_tables(storms=(StormRule(standard="tamper", publications=1), power))
    assert tables.storm_rule("power_down", "PowerOutageOrRestoration") == power
    assert tables.storm_rule("power_down", "Other") is None


def at(minutes: int) -> datetime:
    return AT + timedelta(minutes=minutes)


def down(minutes: int, sequence: int | None = None) -> PairEnd:
    return mark_of(at(minutes), sequence, PairRole.FIRST)


def up(minutes: int, sequence: int | None = None) -> PairEnd:
    return mark_of(at(minutes), sequence, PairRole.LAST)


def test_pairs_become_spells_in_every_order_of_arrival() -> None:
    marks = [down(0), up(10), down(20), up(25), down(30)]
    wanted = (
        Spell(start=at(0), end=at(10)),
        Spell(start=at(20), end=at(25)),
        Spell(start=at(30)),
    )
    assert {spells(order) for order in permutations(marks)} == {wanted}


def test_a_repeated_first_begins_nothing_and_a_lone_last_ends_nothing() -> None:
    assert spells([up(0), down(1), down(2), up(3), up(4)]) == (Spell(start=at(1), end=at(3)),)


def test_at_one_moment_the_sequence_number_orders() -> None:
    assert spells([up(5, 1), down(5, 2)]) == (Spell(start=at(5)),)
    assert spells([up(5, 2), down(5, 1)]) == (Spell(start=at(5), end=at(5)),)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 3), st.booleans()), max_size=30))
def test_spells_do_not_overlap_and_only_the_last_may_be_open(
    given: list[tuple[int, int, bool]],
) -> None:
    found = spells(PairEnd(at(minute), number, last) for minute, number, last in given)
    for one, next_one in pairwise(found):
        assert one.end is not None
        assert one.start <= one.end <= next_one.start
