"""The one lifecycle of the six orchestrations: arrows, replies, guards, withdrawals."""

import typing
from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest

from adapter.errors import Forbidden, IllegalTransition
from adapter.model.device import InstallStatus
from adapter.model.ids import OrderId
from adapter.model.values import replace
from adapter.orders import events as e
from adapter.orders.evaluate import evaluate, next_event
from adapter.orders.lifecycle import (
    DARK_PRIORITY,
    ORDER_MACHINE,
    OrderStep,
    observe,
    pushed,
    resumed,
    step,
    withdraw,
)
from adapter.orders.order import (
    FINAL_STATES,
    ChildFact,
    ChildId,
    ChildState,
    OrderKind,
    OrderProblem,
    OrderState,
    ServiceOrder,
)
from adapter.orders.plan import make_plan
from tests.orders.builders import NOON, a_child, a_smart_meter, a_view, an_order
from tests.support import for_every

S = OrderState
PROBLEM = OrderProblem(code="child_failed", text="it broke")
CHILD = ChildId("SO-1.1")
SPEC = a_child("D1-RemoteConnect").spec
SAMPLES: dict[type[e.Event], e.Event] = {
    type(event): event
    for event in (
        e.Opened(),
        e.OrderValidated(),
        e.Rejected(problems=(PROBLEM,)),
        e.EffectiveDateReached(),
        e.Satisfied(),
        e.ChildWanted(child=SPEC, algorithm="Connect"),
        e.ChildAwaited(child=CHILD),
        e.Undecidable(problem=PROBLEM),
        e.Stopped(reason="paid"),
        e.ChildCompleted(child=CHILD),
        e.ChildGaveUp(child=CHILD),
        e.ChildFailed(child=CHILD, problem=PROBLEM),
        e.ChildRepaired(child=CHILD),
        e.OrderRetryAsked(who="ann"),
        e.RevalidationDue(),
        e.EvaluationDue(),
        e.Corrected(who="ann"),
        e.CompletedByHand(who="ann", reason="seen"),
        e.OrderDiscardAsked(who="ann", reason="wrong"),
        e.StopWanted(who="ann", reason="paid"),
        e.RestoreWanted(who="ann", reason="cancelled"),
        e.Netted(other=OrderId("SO-2")),
    )
}


def in_state(state: OrderState, **changes: object) -> ServiceOrder:
    return an_order(OrderKind.CUT, **{"state": state, "awaited_child": CHILD, **changes})


def of(after: OrderStep, kind: type[e.Effect]) -> list[e.Effect]:
    return [effect for effect in after.effects if isinstance(effect, kind)]


def reply(after: OrderStep) -> e.SendReply:
    (found,) = of(after, e.SendReply)
    assert isinstance(found, e.SendReply)
    return found


def test_there_is_a_sample_of_every_event() -> None:
    assert set(SAMPLES) == set(typing.get_args(e.Event))


@for_every(
    ("state", "kind"), list(product(S, SAMPLES)), ids=lambda each: getattr(each, "__name__", each)
)
def test_every_event_in_every_state_follows_an_arrow_or_is_refused(
    state: OrderState, kind: type[e.Event]
) -> None:
    order = in_state(state)
    targets = ORDER_MACHINE.targets(state, kind)
    if not targets:
        with pytest.raises(IllegalTransition):
            step(order, SAMPLES[kind], now=NOON)
        return
    after = step(order, SAMPLES[kind], now=NOON).order
    assert {after.state} == targets
    assert after.version == order.version + 1


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_nothing_is_taken_in_a_final_state(state: OrderState) -> None:
    assert not [arrow for arrow in ORDER_MACHINE.arrows if arrow[0] is state]


@pytest.mark.parametrize("state", [each for each in S if each not in FINAL_STATES])
def test_every_other_state_can_be_left_at_once(state: OrderState) -> None:
    arrows = ORDER_MACHINE.arrows.items()
    assert any(targets - {state} for (since, _), targets in arrows if since is state)


def test_a_new_order_is_acknowledged_with_its_id_and_checked() -> None:
    after = step(in_state(S.PENDING), e.Opened(), now=NOON)
    assert reply(after).kind is e.ReplyKind.ACKNOWLEDGEMENT
    assert reply(after).details == {"order": "SO-1"}
    assert of(after, e.CheckRules)


def test_a_rejected_order_tells_requester_and_people_and_waits_for_what_blocks_it() -> None:
    blocked = OrderProblem(code="order_open", text="cut order SO-0 is open", order=OrderId("SO-0"))
    after = step(in_state(S.VALIDATE), e.Rejected(problems=(blocked, PROBLEM)), now=NOON)
    assert reply(after).kind is e.ReplyKind.NEGATIVE_ACKNOWLEDGEMENT
    assert reply(after).details["reason"] == "cut order SO-0 is open; it broke"
    assert of(after, e.OpenTodo)
    assert of(after, e.AwaitOrder) == [e.AwaitOrder(order=OrderId("SO-0"))]


def test_a_valid_order_sleeps_until_its_effective_date() -> None:
    later = NOON + timedelta(days=2)
    after = step(in_state(S.VALIDATE, effective_at=later), e.OrderValidated(), now=NOON)
    assert of(after, e.Wake) == [e.Wake(at=later)]


def test_a_payments_reconnect_withdraws_the_queued_cut() -> None:
    after = step(in_state(S.VALIDATE), e.OrderValidated(superseded=(OrderId("SO-0"),)), now=NOON)
    assert of(after, e.WithdrawOrder) == [e.WithdrawOrder(order=OrderId("SO-0"), reason="SO-1")]


def test_a_wanted_child_is_created_once_with_a_fixed_id_and_reported() -> None:
    order = in_state(S.READY, children=2, passes=2, awaited_child=None)
    wanted = e.ChildWanted(child=SPEC, algorithm="Connect", row="parameter row 4")
    after = step(order, wanted, now=NOON)
    assert of(after, e.CreateChild) == [
        e.CreateChild(
            id=ChildId("SO-1.3"), number=3, child=SPEC, algorithm="Connect", row="parameter row 4"
        )
    ]
    assert reply(after).kind is e.ReplyKind.INTERIM
    assert (after.order.awaited_child, after.order.children, after.order.passes) == ("SO-1.3", 3, 3)
    assert step(order, wanted, now=NOON) == after


def test_after_each_child_everything_is_looked_at_again() -> None:
    after = step(in_state(S.IN_PROGRESS), e.ChildCompleted(child=CHILD), now=NOON)
    assert (after.order.state, after.order.awaited_child) == (S.READY, None)
    assert of(after, e.LookAtWorld)


def test_another_orders_child_moves_nothing() -> None:
    with pytest.raises(IllegalTransition, match="does not wait for"):
        step(in_state(S.IN_PROGRESS), e.ChildCompleted(child=ChildId("SO-2.1")), now=NOON)


def test_success_tells_what_was_done_and_when() -> None:
    order = in_state(S.READY, fields={"readAt": "2026-03-10T11:30:00+00:00"})
    after = step(order, e.Satisfied(fields={"readId": "m-1"}), now=NOON)
    assert reply(after).kind is e.ReplyKind.SUCCESS
    assert reply(after).details == {
        "completedAt": NOON.isoformat(),
        "readAt": "2026-03-10T11:30:00+00:00",
        "readId": "m-1",
    }
    assert after.order.ended_at == NOON


def test_success_names_the_work_and_the_devices_that_came_and_went() -> None:
    plan = make_plan(
        an_order(OrderKind.EXCHANGE),
        a_view(OrderKind.EXCHANGE, device=a_smart_meter(), status=InstallStatus.CONN_COMM),
    )
    order = an_order(OrderKind.EXCHANGE, fields=plan.fields)
    event = next_event(order, evaluate(order, plan.view))
    told = reply(step(order, event, now=NOON)).details
    assert told["done"].split()[0] == "D1-ExchangeMeter"
    assert (told["deviceInstalled"], told["deviceRemoved"]) == ("(new device)", "M-1")
    assert told["readAt"] == NOON.isoformat()


def test_an_exception_opens_a_todo_that_closes_itself_when_the_child_is_repaired() -> None:
    failed = e.ChildFailed(child=CHILD, problem=PROBLEM)
    after = step(in_state(S.IN_PROGRESS), failed, now=NOON)
    assert of(after, e.OpenTodo)
    assert after.order.problem == PROBLEM
    repaired = step(after.order, e.ChildRepaired(child=CHILD), now=NOON)
    assert (repaired.order.state, repaired.order.problem) == (S.IN_PROGRESS, None)
    assert of(repaired, e.CloseTodo)


def test_a_dark_customer_comes_first_on_the_todo_list() -> None:
    dark = replace(PROBLEM, without_supply=True)
    after = step(in_state(S.IN_PROGRESS), e.ChildFailed(child=CHILD, problem=dark), now=NOON)
    assert of(after, e.OpenTodo) == [e.OpenTodo(problem=dark, priority=DARK_PRIORITY)]


def test_a_retry_starts_counting_anew_and_looks_at_the_world() -> None:
    order = in_state(S.ACTIVITY_ERROR, passes=20, children=20, problem=PROBLEM)
    retry = step(order, e.OrderRetryAsked(who="ann", open_child=CHILD), now=NOON)
    assert of(retry, e.RetryChild) == [e.RetryChild(child=CHILD, who="ann")]
    assert of(retry, e.Continue) == [e.Continue(to=S.READY)]
    assert (retry.order.passes, retry.order.first_of_retry) == (0, 20)
    again = step(retry.order, resumed(S.READY), now=NOON)
    assert again.order.state is S.READY
    assert of(again, e.LookAtWorld)


def test_a_retried_validation_error_is_validated_again() -> None:
    order = in_state(S.VALIDATION_ERROR)
    corrected = step(order, e.Corrected(who="ann", fields={"a": "b"}), now=NOON).order
    retry = step(corrected, e.OrderRetryAsked(who="ann"), now=NOON)
    assert of(retry, e.Continue) == [e.Continue(to=S.VALIDATE)]
    again = step(retry.order, resumed(S.VALIDATE), now=NOON)
    assert (again.order.state, again.order.fields) == (S.VALIDATE, {"a": "b"})
    assert not of(again, e.SendReply)


def test_a_waiting_order_that_is_corrected_is_validated_again() -> None:
    later = NOON + timedelta(days=1)
    after = step(in_state(S.WAITING), e.Corrected(who="cis", effective_at=later), now=NOON)
    assert (after.order.state, after.order.effective_at) == (S.VALIDATE, later)
    assert of(after, e.CheckRules)


DISCARD = "D1-RemoteDisconnect"


def child(state: ChildState, business_object: str = DISCARD, **spec: object) -> ChildFact:
    return a_child(business_object, 1, state, **spec)


@pytest.mark.parametrize(
    ("business_object", "state", "free"),
    [
        (DISCARD, ChildState.QUEUED, True),
        (DISCARD, ChildState.VALIDATION_ERROR, True),
        (DISCARD, ChildState.SENDING, False),
        (DISCARD, ChildState.SENT, False),
        (DISCARD, ChildState.COMMUNICATION_ERROR, False),
        (DISCARD, ChildState.COMPLETION_ERROR, False),
        ("D1-FieldActivity", ChildState.COMMUNICATION_ERROR, True),
        ("D1-FieldActivity", ChildState.STARTED, False),
        ("CM-WaitForMeasurement", ChildState.QUEUED, True),
    ],
)
def test_an_order_is_discarded_only_if_its_children_need_no_cancelling(
    business_object: str, state: ChildState, free: bool
) -> None:
    asked = e.OrderDiscardAsked(
        who="ann", reason="wrong", children=(child(state, business_object),)
    )
    order = in_state(S.IN_PROGRESS)
    if not free:
        with pytest.raises(Forbidden, match="cancel it first"):
            step(order, asked, now=NOON)
        return
    after = step(order, asked, now=NOON)
    assert of(after, e.DiscardChild) == [e.DiscardChild(child=CHILD, reason="wrong")]
    assert reply(after).kind is e.ReplyKind.FAILURE


def test_an_order_that_left_the_customer_dark_is_never_discarded() -> None:
    with pytest.raises(Forbidden, match="restore supply first"):
        step(
            in_state(S.ACTIVITY_ERROR),
            e.OrderDiscardAsked(who="ann", reason="no", dark=True),
            now=NOON,
        )


def test_nor_completed_by_hand() -> None:
    dark = in_state(S.ACTIVITY_ERROR, problem=replace(PROBLEM, without_supply=True))
    with pytest.raises(Forbidden, match="restore supply first"):
        step(dark, e.CompletedByHand(who="ann", reason="seen"), now=NOON)


# What children tell their order ----------------------------------------------------------------

OBSERVED = [
    (S.IN_PROGRESS, ChildState.QUEUED, None),
    (S.IN_PROGRESS, ChildState.SENT, None),
    (S.IN_PROGRESS, ChildState.STARTED, None),
    (S.IN_PROGRESS, ChildState.VALIDATION_ERROR, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.COMMUNICATION_ERROR, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.COMPLETION_ERROR, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.COMPLETED, e.ChildCompleted),
    (S.IN_PROGRESS, ChildState.FAILED, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.TIMED_OUT, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.CANCELED, e.ChildFailed),
    (S.IN_PROGRESS, ChildState.DISCARDED, e.ChildFailed),
    (S.ACTIVITY_ERROR, ChildState.SENT, e.ChildRepaired),
    (S.ACTIVITY_ERROR, ChildState.COMPLETED, e.ChildCompleted),
    (S.ACTIVITY_ERROR, ChildState.COMMUNICATION_ERROR, e.ChildFailed),
    (S.ACTIVITY_ERROR, ChildState.FAILED, e.ChildFailed),
    (S.READY, ChildState.COMPLETED, None),
    (S.COMPLETED, ChildState.FAILED, None),
]


@for_every(("state", "seen", "kind"), OBSERVED)
def test_the_poll_learns_what_a_lost_push_would_have_said(
    state: OrderState, seen: ChildState, kind: type[e.Event] | None
) -> None:
    event = observe(in_state(state), (child(seen),))
    assert (type(event) if event is not None else None) is kind


def test_an_order_in_error_says_what_is_wrong_with_its_child_now_and_says_it_once() -> None:
    first, second = child(ChildState.COMMUNICATION_ERROR), child(ChildState.FAILED)
    order = in_state(S.IN_PROGRESS)
    for seen in (first, second):
        event = observe(order, (seen,))
        assert isinstance(event, e.ChildFailed)
        order = step(order, event, now=NOON).order
        assert order.state is S.ACTIVITY_ERROR
        assert order.problem is not None
        assert f"is {seen.state}" in order.problem.text
        assert observe(order, (seen,)) is None


@pytest.mark.parametrize("seen", ChildState)
def test_a_child_pushes_only_while_its_flag_allows_it(seen: ChildState) -> None:
    order, silent = in_state(S.IN_PROGRESS), child(seen)
    assert pushed(order, silent) is None
    assert pushed(order, replace(silent, may_push=True)) == observe(order, (silent,))


def test_a_child_that_does_not_block_lets_the_order_go_on() -> None:
    failed = child(ChildState.FAILED, "D1-OnDemandReadScalar", blocking=False)
    assert isinstance(observe(in_state(S.IN_PROGRESS), (failed,)), e.ChildGaveUp)


@pytest.mark.parametrize(
    ("kind", "seen", "serious"),
    [
        (OrderKind.BACK_TO_BACK, ChildState.COMMUNICATION_ERROR, True),
        (OrderKind.BACK_TO_BACK, ChildState.FAILED, False),
        (OrderKind.CUT, ChildState.COMMUNICATION_ERROR, False),
    ],
)
def test_an_unclear_switch_off_of_a_change_over_is_treated_as_dark(
    kind: OrderKind, seen: ChildState, serious: bool
) -> None:
    order = an_order(kind, state=S.IN_PROGRESS, awaited_child=CHILD)
    event = observe(order, (child(seen),))
    assert isinstance(event, e.ChildFailed)
    assert event.problem.without_supply is serious


# Payment and cancellation at any moment ---------------------------------------------------------

Children = tuple[ChildFact, ...]
MOMENTS: list[tuple[OrderState, Children, type[e.Event]]] = [
    (S.PENDING, (), e.OrderDiscardAsked),
    (S.VALIDATE, (), e.OrderDiscardAsked),
    (S.VALIDATION_ERROR, (), e.OrderDiscardAsked),
    (S.WAITING, (), e.OrderDiscardAsked),
    (S.READY, (), e.OrderDiscardAsked),
    (S.RETRY, (), e.OrderDiscardAsked),
    (S.IN_PROGRESS, (child(ChildState.QUEUED),), e.OrderDiscardAsked),
    (S.IN_PROGRESS, (child(ChildState.SENDING),), e.StopWanted),
    (S.IN_PROGRESS, (child(ChildState.SENT),), e.StopWanted),
    (S.IN_PROGRESS, (child(ChildState.STARTED),), e.StopWanted),
    (S.ACTIVITY_ERROR, (child(ChildState.COMMUNICATION_ERROR),), e.StopWanted),
    (S.ACTIVITY_ERROR, (child(ChildState.FAILED),), e.OrderDiscardAsked),
]


@pytest.mark.parametrize(("state", "children", "kind"), MOMENTS)
def test_a_payment_voids_a_cut_at_any_moment(
    state: OrderState, children: Children, kind: type[e.Event]
) -> None:
    order = in_state(state)
    event = withdraw(order, children, who="cis", reason="paid")
    assert type(event) is kind
    after = step(order, event, now=NOON)
    if kind is e.OrderDiscardAsked:
        assert after.order.state is S.DISCARDED
        assert reply(after).details["reason"] == "paid"
    else:
        assert (after.order.state, after.order.stop) == (state, "paid")
        assert of(after, e.CancelChild) == [e.CancelChild(child=CHILD, reason="paid")]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_payment_after_the_end_is_refused_with_the_state(state: OrderState) -> None:
    with pytest.raises(IllegalTransition, match=f"already {state}"):
        withdraw(in_state(state), (), who="cis", reason="paid")


def test_a_payment_too_late_is_told_that_supply_is_off() -> None:
    after = step(in_state(S.READY, stop="paid"), e.Satisfied(), now=NOON)
    assert reply(after).kind is e.ReplyKind.SUCCESS
    assert reply(after).details["withdrawal"] == "too late: paid"
    assert reply(after).details["advice"] == "supply is off: order a reconnection"


def test_a_child_called_back_lets_a_withdrawn_order_end() -> None:
    order = in_state(S.IN_PROGRESS, stop="paid")
    event = observe(order, (child(ChildState.CANCELED),))
    assert isinstance(event, e.ChildGaveUp)
    assert step(order, event, now=NOON).order.state is S.READY


RESTORING: list[tuple[OrderState, Children, Callable[[e.Event], bool]]] = [
    (S.IN_PROGRESS, (child(ChildState.SENT),), lambda x: x == e.StopWanted(who="c", reason="r")),
    (S.ACTIVITY_ERROR, (child(ChildState.FAILED),), lambda x: isinstance(x, e.RestoreWanted)),
    (S.READY, (), lambda x: x == e.StopWanted(who="c", reason="r")),
    (S.RETRY, (), lambda x: x == e.StopWanted(who="c", reason="r")),
]


@pytest.mark.parametrize(("state", "children", "right"), RESTORING)
def test_a_cancellation_in_the_dark_never_calls_back_what_restores_supply(
    state: OrderState, children: Children, right: Callable[[e.Event], bool]
) -> None:
    order = in_state(state)
    event = withdraw(order, children, who="c", reason="r", dark=True)
    assert right(event)
    after = step(order, event, now=NOON)
    assert after.order.stop == "r"
    assert not of(after, e.CancelChild)
    assert not after.order.final
