"""Duplicate and contradicting field work, reached by orders on a real gateway with a crew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.engine.orders.field_work import FieldReport, OtherWork, Receipt
from adapter.errors import Conflict, InvalidRequest
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId
from adapter.orders.field_activity import FieldState
from adapter.orders.order import ChildId, OrderKind, OrderState
from tests.engine.orders.crew import a_manual_meter
from tests.engine.orders.site_with_orders import Place, Rig, rig, state_is, titles

K, S = OrderKind, InstallStatus
ERROR, DONE = OrderState.ACTIVITY_ERROR, OrderState.COMPLETED
MANUAL: dict[str, Any] = {"kind": "manual", "spare": "manual", "status": S.MANUAL_ON}


async def exchanged(made: Rig) -> Place:
    """A service point whose meter a crew has exchanged just now, and the next one in its van."""
    place = await made.put(Place(number=0, **MANUAL))
    first = await made.submit(K.EXCHANGE, place, reference="first")
    await made.until(first.id, state_is(DONE))
    made.crew.spares[place.point] = a_manual_meter("D-third")
    return place


async def test_an_exchange_that_is_ordered_twice_is_not_made_twice(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await exchanged(made)
        again = await made.submit(K.EXCHANGE, place, reference="second")
        shown = await made.until(again.id, state_is(ERROR))
        (child,) = shown.children
        assert child.field is not None
        assert child.field.state is FieldState.VALIDATION_ERROR
        (todo,) = await made.orders.todo()
        assert "D1-ExchangeMeter" in todo.text
        assert "was done here at" in todo.text
        assert "allowOverlap=true" in todo.action
        assert sum(message.task == "D1-ExchangeMeter" for message in made.crew.heard) == 1
        await made.operator.discard(again.id, by="anna", reason="ordered twice")
        assert not await made.orders.todo()


async def test_people_who_know_of_the_first_let_the_second_go_ahead(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await exchanged(made)
        again = await made.submit(K.EXCHANGE, place, reference="second")
        await made.until(again.id, state_is(ERROR))
        await made.orders.update(again.id, {"allowOverlap": "true"}, by="anna")
        await made.until(again.id, state_is(DONE))
        view = await made.made.app.gateway.registry.device(DeviceId("D-third"))
        assert view.service_point is not None
        assert view.service_point.id == place.point


async def test_other_work_that_has_not_come_yet_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        ahead = datetime.now(UTC) + timedelta(hours=1)
        with pytest.raises(InvalidRequest, match=r"endedAt: .* has not come yet"):
            await made.orders.receive(a_report(1, place, ended_at=ahead, done=True))
        soon = datetime.now(UTC) + timedelta(minutes=1)  # clocks differ
        report = a_report(1, place, ended_at=soon, done=True)
        assert await made.orders.receive(report) is Receipt.APPLIED


async def test_an_order_whose_service_date_is_far_away_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        far = datetime.now(UTC) + timedelta(days=400)
        with pytest.raises(InvalidRequest, match="service_at: must lie within 366 days"):
            await made.submit(K.CUT, place, service_at=far)
        order = await made.submit(K.CUT, place, service_at=far, effective_at=far)
        at = far + timedelta(days=400)
        with pytest.raises(InvalidRequest, match="service_at"):
            await made.operator.correct(order.id, by="ann", service_at=at)


async def test_a_site_has_its_own_thresholds(tmp_path: Path) -> None:
    rules = {"field_task": {"D1-ExchangeMeter": {"duplicates": {"allowed": True}}}}
    async with rig(tmp_path, rules=rules) as made:
        place = await exchanged(made)
        again = await made.submit(K.EXCHANGE, place, reference="second")
        done = await made.until(again.id, state_is(DONE))
        assert titles(done).startswith("ExchangeMeter")


def a_report(number: int, place: Place, **changes: object) -> FieldReport:
    hour = timedelta(hours=1)
    news = OtherWork(
        service_point=place.point,
        task="D1-TurnOffMeter",
        created_at=datetime.now(UTC) - hour,
        **changes,  # type: ignore[arg-type]
    )
    return FieldReport(id=f"O-{number}", activity=ChildId("FA-77"), news=news)


async def test_a_visit_waits_while_the_field_work_system_has_contradicting_work_of_its_own(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        off = {**MANUAL, "status": S.MANUAL_OFF}
        place = await made.put(Place(number=0, read=True, **off))
        assert await made.orders.receive(a_report(1, place)) is Receipt.APPLIED
        assert await made.orders.receive(a_report(1, place)) is Receipt.REPEATED
        order = await made.submit(K.ENABLE, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert "D1-TurnOffMeter FA-77 is open here" in shown.children[0].fact.reason
        assert not made.crew.heard
        ended = datetime.now(UTC)
        await made.orders.receive(a_report(2, place, ended_at=ended))  # it was called off
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(DONE))
        assert titles(done) == "TurnOnMeter"
        ours = FieldReport(
            id="O-3", activity=done.children[0].fact.id, news=a_report(3, place).news
        )
        with pytest.raises(Conflict):
            await made.orders.receive(ours)


async def test_work_that_others_did_just_now_is_not_done_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True, **MANUAL))
        ended = datetime.now(UTC)
        await made.orders.receive(a_report(1, place, ended_at=ended, done=True))
        order = await made.submit(K.DISABLE, place)
        shown = await made.until(order.id, state_is(ERROR))
        assert "FA-77 was done here at" in shown.children[0].fact.reason
