"""Readings that people enter: an order that lacks one goes on with it; what is wrong is refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.errors import InvalidRequest
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId
from adapter.model.measurement import Measurement
from adapter.orders.order import OrderKind, OrderState
from tests.engine.orders.site_with_orders import Place, rig, state_is, titles

LONG_AGO = timedelta(days=40)


def reading(place: Place, at: datetime, **changes: object) -> Measurement:
    values: dict[str, object] = {
        "id": "", "device": place.device, "component": "kwh", "at": at, "value": Decimal("12.5"),
    }  # fmt: skip
    return Measurement(**{**values, **changes})  # type: ignore[arg-type]


async def test_an_order_whose_time_for_a_reading_is_over_goes_on_with_one_from_a_book(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(
            Place(number=0, kind="manual", spare="manual", status=InstallStatus.MANUAL_OFF)
        )
        at = datetime.now(UTC) - LONG_AGO
        order = await made.submit(OrderKind.DISABLE, place, service_at=at)
        shown = await made.until(order.id, state_is(OrderState.ACTIVITY_ERROR))
        assert shown.order.problem is not None
        assert shown.order.problem.code == "no_reading"
        assert "enter a reading" in shown.order.problem.action
        await made.entered.enter([reading(place, at, value=Decimal(1))], by="anna")
        await made.entered.enter([reading(place, at)], by="anna")
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(done) == ""
        assert done.order.fields["readValue"] == "kwh=12.5", "the last one entered"
        assert done.order.fields["readAt"] == at.isoformat()
        audit = await made.made.app.core.store.audit(subject=place.device)
        notes = [each.note for each in audit if each.note.action == "ReadingEntered"]
        assert [(note.actor, note.detail["component"]) for note in notes] == [
            ("anna", "kwh"),
            ("anna", "kwh"),
        ]


async def test_an_order_that_waits_for_a_reading_takes_the_one_that_is_entered(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(
            Place(
                number=0,
                kind="manual",
                spare="manual",
                status=InstallStatus.MANUAL_ON,
                cycle="C3",
            )
        )
        order = await made.submit(OrderKind.ENABLE, place)
        await made.until(order.id, lambda shown: bool(shown.children))
        await made.entered.enter([reading(place, datetime.now(UTC))], by="anna")
        done = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(done) == "WaitForScheduledRead"
        (told,) = await made.made.app.core.store.audit(subject=place.device)
        assert (told.note.actor, told.note.action) == ("anna", "ReadingEntered")
        assert told.note.detail["value"] == str(reading(place, told.at).value)


async def test_what_cannot_be_a_reading_is_refused_and_nothing_is_taken(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        now = datetime.now(UTC)
        good = reading(place, now)
        for wrong, rule in (
            (reading(place, now, device=DeviceId("nobody")), r"\[2\].device: nobody is not in"),
            (reading(place, now, component="gas"), r"\[2\].component: gas is not one of kwh"),
            (reading(place, now + timedelta(hours=1)), r"\[2\].at: .* has not come yet"),
            (reading(place, now.replace(tzinfo=None)), r"\[2\].at: needs a time zone"),
            (reading(place, now, value=Decimal("NaN")), r"\[2\].value: must be a number"),
            (reading(place, now, value=Decimal("1e999999")), r"value: .* at most 29 digits"),
        ):
            with pytest.raises(InvalidRequest, match=rule):
                await made.entered.enter([good, wrong], by="anna")
        assert not await made.made.app.core.store.audit(subject=place.device)
