"""A customer pays: nobody stays in the dark, at whatever step the cut is."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.commands.activity import CommandRequest
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind, Operation
from adapter.engine import crash_points
from adapter.engine.orders.payments import Payment
from adapter.engine.orders.ports import OrderFilter, OrderShown
from adapter.errors import NotFound
from adapter.model.device import InstallStatus
from adapter.model.ids import ServicePointId
from adapter.model.todo import TodoSubject
from adapter.orders.field_activity_events import CrewStarted, MessageKind, WorkReported
from adapter.orders.lifecycle import DARK_PRIORITY
from adapter.orders.maintenance import MAINTENANCE_FINAL, MaintenanceActivity, MaintenanceState
from adapter.orders.order import OrderKind, OrderState, ServiceOrder
from adapter.orders.payment import PaidSupply
from adapter.simulator.faults import Effect
from tests.engine.commands.quick_site import script, sends
from tests.engine.orders.site_with_orders import (
    UNASKED,
    UNTOLD,
    Place,
    Rig,
    gave_up,
    rig,
    state_is,
    titles,
)

K, S, PAID = OrderKind, InstallStatus, PaidSupply
DONE, DISCARDED, ERROR = OrderState.COMPLETED, OrderState.DISCARDED, OrderState.ACTIVITY_ERROR
MANUAL: dict[str, Any] = {"kind": "manual", "spare": "manual", "status": S.MANUAL_ON}
PAYMENTS = 40
STEPS = (
    "order.before_save",
    "order.after_save",
    "order.before_submit",
    "order.after_submit",
    "send.before",
    "send.after",
    "listener.before_receive",
    "listener.after_receive",
    "inbox.before_apply",
    "ask.before",
    "ask.after",
    "completion.before_apply",
    "completion.after_apply",
    "reply.before_delivery",
    "reply.after_delivery",
)
"""Where a cut comes by, from its first look to the reply that it is done."""


@contextmanager
def watched(arrive: Any) -> Iterator[None]:
    """`arrive` is told of every point that the process comes to."""
    before = crash_points._arrive
    crash_points._arrive = arrive
    try:
        yield
    finally:
        crash_points._arrive = before


class Payers:
    """Customers who pay one after the other, each when a cut comes to the step; every one some
    turns of the loop later than the one before, so that the races end in every way."""

    def __init__(self, made: Rig, places: list[Place], step: str) -> None:
        self._made = made
        self._places = places
        self._step = step
        self.cuts: list[ServiceOrder] = []
        self._paying: list[asyncio.Task[Payment]] = []

    def arrive(self, point: str) -> None:
        if point == self._step and len(self._paying) < len(self.cuts):
            self._pay_next()

    def _pay_next(self) -> None:
        self._paying.append(asyncio.create_task(self._pay(len(self._paying))))

    async def _pay(self, number: int) -> Payment:
        for _ in range(number % 9):
            await asyncio.sleep(0)
        point = self._places[number].point
        return await self._made.orders.payment(point, by="billing", reference=f"p-{number}")

    async def answers(self) -> list[Payment]:
        """Of all; who did not have his turn pays now."""
        while len(self._paying) < len(self.cuts):
            self._pay_next()
        return await asyncio.gather(*self._paying)


async def final(made: Rig, order: ServiceOrder) -> OrderShown:
    return await made.until(order.id, lambda shown: shown.order.final, wait_s=40)


async def cut_all(made: Rig, places: list[Place], cuts: list[ServiceOrder]) -> None:
    """Until every cut is over. `cuts` has those that were submitted."""
    for place in places:
        order = await made.submit(K.CUT, place)
        cuts.append(order)
    for order in cuts:
        await final(made, order)


async def held_by_somebody(made: Rig, place: Place) -> bool:
    """The promise: supply is on and no cut is open, or an order to reconnect is."""
    wanted = OrderFilter(service_point=place.point, open_only=True)
    kinds = [order.kind for order in (await made.orders.list(wanted)).rows]
    if K.RECONNECT in kinds:
        return True
    on = made.switch(place.number) is SwitchState.CONNECTED
    return on and K.CUT not in kinds and await made.status(place.device) is S.CONN_COMM


@pytest.mark.parametrize("step", STEPS)
async def test_forty_payments_at_a_step_of_the_cut_leave_nobody_in_the_dark(
    step: str, tmp_path: Path
) -> None:
    async with rig(tmp_path, places=PAYMENTS) as made:
        places = [await made.put(Place(number=number)) for number in range(PAYMENTS)]
        payers = Payers(made, places, step)
        with watched(payers.arrive):
            await cut_all(made, places, payers.cuts)
        answers = await payers.answers()
        for place in places:
            assert await held_by_somebody(made, place)
        for place, cut, paid in zip(places, payers.cuts, answers, strict=True):
            await _is_restored(made, place, cut, paid)
        assert not await made.orders.todo()
        ways = Counter(paid.supply.value for paid in answers)
        assert sum(ways.values()) == PAYMENTS


async def _is_restored(made: Rig, place: Place, cut: ServiceOrder, paid: Payment) -> None:
    """In the end supply is on, and the answer and the cut's reply told how that came."""
    ended = await final(made, cut)
    was_cut = ended.order.state is DONE
    if paid.reconnection is None:
        assert paid.supply is PAID.NOT_CUT
        assert not was_cut
    else:
        shown = await final(made, paid.reconnection)
        assert shown.order.state is DONE
    assert sends(made.made, Operation.DISCONNECT_METER, place.number) in (
        {1} if was_cut else {0, 1}
    )
    assert sends(made.made, Operation.RECONNECT_METER, place.number) == was_cut
    assert made.switch(place.number) is SwitchState.CONNECTED
    assert await made.status(place.device) is S.CONN_COMM
    if ended.order.stop and was_cut:
        assert paid.reconnection is not None
        advice = ended.replies[-1].details["advice"]
        assert advice == f"supply is off: order {paid.reconnection.id} reconnects it"


async def test_a_payment_after_the_cut_reconnects_and_says_by_which_order(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.until(cut.id, state_is(DONE))
        paid = await made.orders.payment(place.point, by="billing", reference="p-7")
        assert (paid.supply, paid.cuts) == (PAID.RECONNECTING, ())
        assert paid.reconnection is not None
        assert paid.reconnection.fields == {"payment": "p-7", "cutBy": cut.id}
        again = await made.orders.payment(place.point, by="billing", reference="p-7")
        shown = await made.until(paid.reconnection.id, state_is(DONE))
        assert titles(shown) == "RemoteConnect"
        assert again.reconnection is None or again.reconnection.id == shown.order.id
        assert made.switch(0) is SwitchState.CONNECTED
        later = await made.orders.payment(place.point, by="billing", reference="p-8")
        assert (later.supply, later.reconnection) == (PAID.NOT_CUT, None)


async def test_a_second_cut_is_undone_by_a_payment_of_the_same_reference(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0))
        for number in range(2):
            cut = await made.submit(K.CUT, place, reference=f"cut-{number}")
            await made.until(cut.id, state_is(DONE))
            paid = await made.orders.payment(place.point, by="billing", reference="account-1")
            assert paid.reconnection is not None
            await made.until(paid.reconnection.id, state_is(DONE))
            assert made.switch(0) is SwitchState.CONNECTED


async def test_a_payment_finds_a_meter_that_a_crew_cut_at_the_source(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, connected=False))
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.reconnection is not None
        shown = await made.until(paid.reconnection.id, state_is(DONE))
        assert titles(shown) == "ReconnectForPayment"


async def test_a_payment_finds_a_meter_that_was_off_before_the_gateway_knew_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, status=S.DISCONN_COMM))
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.supply is PAID.RECONNECTING
        assert paid.reconnection is not None
        await made.until(paid.reconnection.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_payment_where_supply_was_never_on_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        bare = await made.put(Place(number=0, status=None, connected=False))
        new = await made.put(Place(number=1, status=S.PRECONN_COMM))
        for place in (bare, new):
            paid = await made.orders.payment(place.point, by="billing")
            assert (paid.supply, paid.reconnection) == (PAID.NOT_CUT, None)
            assert "never on" in paid.text


async def test_a_payment_of_a_service_point_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        with pytest.raises(NotFound, match="SP-0815"):
            await made.orders.payment(ServicePointId("SP-0815"), by="billing")


async def test_where_service_was_ended_a_payment_leaves_it_to_people(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True))
        ended = await made.submit(K.DISABLE, place)
        await made.until(ended.id, state_is(DONE))
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.supply is PAID.WAITS_FOR_PEOPLE
        assert paid.reconnection is not None
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.id) == (TodoSubject.ORDER, paid.reconnection.id)
        assert ended.id in todo.text
        assert made.switch(0) is SwitchState.DISCONNECTED
        id_ = paid.reconnection.id
        await made.operator.correct(id_, by="ann", fields={"confirmedBy": "ann"})
        await made.operator.retry(id_, by="ann")
        await made.until(id_, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_where_the_site_forbids_it_a_to_do_says_who_is_dark_and_why(tmp_path: Path) -> None:
    rules = {"activity_type": {"reconnect": {"reconnect_on_payment": False}}}
    async with rig(tmp_path, UNTOLD, policy=UNASKED, rules={"orders": rules}) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.switched_off(0)
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        await made.until(cut.id, state_is(DONE))
        shown = await made.until(
            paid.reconnection.id,
            lambda s: s.order.problem is not None and s.order.problem.order is None,
        )
        assert shown.order.problem is not None
        assert shown.order.problem.code == "payment"
        (todo,) = await made.orders.todo()
        assert f"dark, cut by order {cut.id}" in todo.text
        again = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert again.supply is PAID.WAITS_FOR_PEOPLE


async def test_a_crew_that_is_at_the_cut_finishes_and_another_visit_reconnects(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
        place = await made.put(Place(number=0, **MANUAL))
        cut = await made.submit(K.CUT, place)
        await made.until(cut.id, lambda s: bool(made.crew.heard))
        message = made.crew.heard[0]
        await made.crew.report(message, CrewStarted())
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.supply is PAID.RECONNECTING
        assert paid.reconnection is not None
        assert cut.id in paid.text
        made.crew.idle = lambda message: False
        await made.crew.report(message, WorkReported(report=made.crew.done(message)))
        await made.until(cut.id, state_is(DONE))
        shown = await made.until(paid.reconnection.id, state_is(DONE))
        assert titles(shown) == "ReconnectForPayment"
        assert await made.status(place.device) is S.MANUAL_ON


async def test_a_cut_whose_outcome_nobody_knows_keeps_the_reconnection_open(
    tmp_path: Path,
) -> None:
    lost = script(Effect.LOSE_REPLY, "DisconnectMeter")
    async with rig(tmp_path, lost) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.until(cut.id, lambda s: sends(made.made, Operation.DISCONNECT_METER, 0) == 1)
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        await made.until(cut.id, lambda s: s.order.final)
        await made.until(paid.reconnection.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED
        assert sends(made.made, Operation.DISCONNECT_METER, 0) == 1


async def answered(made: Rig, request: MaintenanceActivity) -> MaintenanceActivity:
    """The request when its answer is there: one about a cut that is with the head end waits."""

    def now(shown: OrderShown) -> MaintenanceActivity:
        return next(each for each in shown.requests if each.id == request.id)

    return now(await made.until(request.order, lambda s: now(s).state in MAINTENANCE_FINAL))


@pytest.mark.parametrize("ahead", [0, 8])
async def test_a_cancel_whose_cut_has_just_been_done_is_too_late_and_says_so(
    ahead: int, tmp_path: Path
) -> None:
    """The same race where the requester cancels: nothing calls a cut discarded that was done.

    He cancels a cut when one is done that came `ahead` of it, so that some are still under way.
    """
    async with rig(tmp_path, places=PAYMENTS) as made:
        places = [await made.put(Place(number=number)) for number in range(PAYMENTS)]
        cuts: list[ServiceOrder] = []
        asked: list[asyncio.Task[MaintenanceActivity]] = []

        def arrive(point: str) -> None:
            if point == "completion.after_apply" and len(asked) + ahead < len(cuts):
                order = cuts[len(asked) + ahead].id
                asked.append(asyncio.create_task(made.orders.cancel(order, by="cis")))

        with watched(arrive):
            await cut_all(made, places, cuts)
        requests = await asyncio.gather(*asked)
        assert requests
        for place, cut in zip(places, cuts, strict=True):
            shown = await final(made, cut)
            off = made.switch(place.number) is SwitchState.DISCONNECTED
            assert off == (shown.order.state is DONE)
        for request in requests:
            answer = await answered(made, request)
            if (await made.orders.get(request.order)).state is DONE:
                assert answer.state is MaintenanceState.REJECTED
                assert "order a reconnection" in answer.outcome
            else:
                assert answer.state is MaintenanceState.COMPLETED


async def test_who_discards_an_order_whose_cut_has_just_been_done_finds_it_completed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, places=PAYMENTS) as made:
        places = [await made.put(Place(number=number)) for number in range(PAYMENTS)]
        cuts: list[ServiceOrder] = []
        asked: list[asyncio.Task[Any]] = []

        def arrive(point: str) -> None:
            if point == "completion.after_apply" and len(asked) < len(cuts):
                order = cuts[len(asked)].id
                asked.append(asyncio.create_task(made.operator.discard(order, by="ann")))

        with watched(arrive):
            await cut_all(made, places, cuts)
        await asyncio.gather(*asked, return_exceptions=True)
        for place, cut in zip(places, cuts, strict=True):
            shown = await final(made, cut)
            off = made.switch(place.number) is SwitchState.DISCONNECTED
            assert off == (shown.order.state is DONE)


async def test_a_disconnect_that_is_no_orders_own_is_waited_for_and_undone(tmp_path: Path) -> None:
    slow = script(Effect.DELAY_CALLBACK, "DisconnectMeter", seconds=0.5)
    async with rig(tmp_path, slow) as made:
        place = await made.put(Place(number=0))
        gateway = made.made.app.gateway
        asked = CommandRequest(
            kind=CommandKind.REMOTE_DISCONNECT, devices=(place.device,), idempotency_key="direct"
        )
        command = await gateway.commands.submit(asked, actor="ann")
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.supply is PAID.RECONNECTING
        assert command.id in paid.text
        assert paid.reconnection is not None
        await gateway.commands.wait(command.id, timeout_s=20)
        await made.until(paid.reconnection.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_reconnection_that_was_ordered_for_a_later_day_is_made_now(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, status=S.DISCONN_COMM))
        later = datetime.now(UTC) + timedelta(days=7)
        order = await made.submit(K.RECONNECT, place, effective_at=later)
        await made.until(order.id, state_is(OrderState.WAITING))
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.reconnection is not None
        assert paid.reconnection.id == order.id
        await made.until(order.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED


async def test_a_paid_reconnection_that_is_given_up_waits_for_people_until_supply_is_back(
    tmp_path: Path,
) -> None:
    fails = script(Effect.ENDPOINT_FAILURE, "ReconnectMeter", first=1)
    async with rig(tmp_path, fails) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.until(cut.id, state_is(DONE))
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        await made.until(paid.reconnection.id, gave_up)
        await made.operator.discard(paid.reconnection.id, by="ann", reason="by mistake")
        (todo,) = await made.orders.todo()
        assert (todo.subject, todo.code) == (TodoSubject.ORDER, "reconnection_given_up")
        assert (todo.service_point, todo.dark) == (place.point, True)
        assert todo.priority == DARK_PRIORITY

        again = await made.orders.payment(place.point, by="ann", reference="p-1")
        assert again.reconnection is not None
        assert again.reconnection.id != paid.reconnection.id
        assert not await made.orders.todo()
        await made.until(again.reconnection.id, state_is(DONE))
        assert made.switch(0) is SwitchState.CONNECTED
        assert not await made.orders.todo()


async def test_who_leaves_supply_off_where_the_site_leaves_it_to_people_is_asked_no_more(
    tmp_path: Path,
) -> None:
    rules = {"activity_type": {"reconnect": {"reconnect_on_payment": False}}}
    async with rig(tmp_path, rules={"orders": rules}) as made:
        place = await made.put(Place(number=0))
        cut = await made.submit(K.CUT, place)
        await made.until(cut.id, state_is(DONE))
        paid = await made.orders.payment(place.point, by="billing", reference="p-1")
        assert paid.reconnection is not None
        await made.operator.discard(paid.reconnection.id, by="ann", reason="nobody lives there")
        shown = await made.orders.show(paid.reconnection.id)
        assert shown.order.fields["leftOffBy"] == "ann"
        assert not await made.orders.todo()
