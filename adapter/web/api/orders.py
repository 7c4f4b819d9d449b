"""Routes of service orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, structs

from adapter.commands.flows import SWITCH_KINDS
from adapter.commands.timing import given_in_utc
from adapter.engine.commands.ports import AuditEntry
from adapter.engine.orders.child_commands import unsent
from adapter.engine.orders.operator import Decided
from adapter.engine.orders.payments import Payment
from adapter.engine.orders.ports import Child, OrderFilter, OrderPass, OrderShown
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import meant
from adapter.model.ids import OrderId, ServicePointId
from adapter.orders.algorithms.verdict import Decision, DecisionOutcome
from adapter.orders.events import ReplyKind
from adapter.orders.field_activity import FieldState
from adapter.orders.lifecycle import PRIORITIES
from adapter.orders.maintenance import MaintenanceActivity, MaintenanceState, Purpose
from adapter.orders.order import ChildState, OrderKind, OrderProblem, OrderState, ServiceOrder
from adapter.orders.payment import PaidSupply
from adapter.orders.plan import OrderPlan, PlanStep
from adapter.orders.replies import ReplyState, RequesterReply
from adapter.web.api.call import (
    ASKED,
    PREFIX,
    Address,
    ApiContext,
    ApiRequest,
    ApiResponse,
    HistoryEntry,
    Id,
    Moment,
    NeededText,
    NothingIn,
    ReasonIn,
    Text,
    UnreadableOut,
    answer_from,
    asked_of,
    bad_query,
    check_callback,
    check_service_point,
    cursor_of,
    flag_of,
    id_of,
    limit_of,
    member,
    wait_of,
)


def slug(state: OrderState | MaintenanceState) -> str:
    return state.name.lower()


StateName = Annotated[str, Meta(extra_json_schema={"enum": [slug(each) for each in OrderState]})]
RequestStateName = Annotated[
    str, Meta(extra_json_schema={"enum": [slug(each) for each in MaintenanceState]})
]
LISTED = ("kind", "state", "service_point", "open", *ASKED, "limit", "cursor")


# ---------------------------------------------------------------- what is taken


class OrderIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A service order. The requester is the holder of the key; the same `reference` of the same
    requester gives the same order. `fields` are the activity's elements by name."""

    kind: OrderKind
    service_point: Id
    reference: Id
    activity_type: Text = ""
    effective_at: Moment | None = None
    service_at: Moment | None = None
    account: Text = ""
    priority: Annotated[int, Meta(ge=PRIORITIES.least, le=PRIORITIES.most)] = 0
    fields: dict[str, str] = {}
    callback_url: Address | None = None

    def request(self, *, requester: str) -> OrderRequest:
        return OrderRequest(
            kind=self.kind,
            service_point=ServicePointId(self.service_point),
            callback_url=self.callback_url or "",
            external_reference=self.reference,
            requester=requester,
            activity_type=self.activity_type,
            effective_at=given_in_utc("effective_at", self.effective_at),
            service_at=given_in_utc("service_at", self.service_at),
            account=self.account,
            priority=self.priority,
            fields=self.fields,
        )


class PlanIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An order that nobody has given yet."""

    kind: OrderKind
    service_point: Id
    activity_type: Text = ""
    effective_at: Moment | None = None
    service_at: Moment | None = None
    fields: dict[str, str] = {}

    def request(self, *, requester: str) -> OrderRequest:
        return OrderRequest(
            kind=self.kind,
            service_point=ServicePointId(self.service_point),
            external_reference="",
            requester=requester,
            activity_type=self.activity_type,
            effective_at=given_in_utc("effective_at", self.effective_at),
            service_at=given_in_utc("service_at", self.service_at),
            fields=self.fields,
        )


class CancelIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """`reference` is the requester's own: a repeated one is answered by the first one's result."""

    reason: Text = ""
    reference: Text = ""


class UpdateIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Elements to change; `effectiveAt` and `serviceAt` are times, ISO 8601 with a zone."""

    changes: dict[str, str]
    reference: Text = ""


class CorrectIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What people change in an order; times are kept where left out."""

    fields: dict[str, str] = {}
    effective_at: Moment | None = None
    service_at: Moment | None = None


class CompleteIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why an order counts as done."""

    reason: NeededText


class PaymentIn(Struct, kw_only=True, forbid_unknown_fields=True):
    service_point: Id
    reference: Text = ""


# ---------------------------------------------------------------- what is given


class ReplyOut(Struct, kw_only=True):
    """`due_at` is when it is tried next; None once it is delivered, refused or given up."""

    id: str
    kind: ReplyKind
    state: ReplyState
    attempts: int
    last_error: str
    created_at: datetime
    due_at: datetime | None
    details: Mapping[str, str]

    @classmethod
    def of(cls, reply: RequesterReply) -> "ReplyOut":
        return answer_from(
            cls, reply, due_at=reply.due_at if reply.state is ReplyState.QUEUED else None
        )


class ProblemOut(Struct, kw_only=True):
    """Why people are needed, and what they can do. `without_supply`: the order left the customer
    so."""

    code: str
    text: str
    action: str
    without_supply: bool
    blocking_order: str | None

    @classmethod
    def of(cls, problem: OrderProblem | None) -> "ProblemOut | None":
        if problem is None:
            return None
        return answer_from(cls, problem, blocking_order=problem.order)


class OrderOut(Struct, kw_only=True):
    """An order and where it stands. `state_title` is the state as the product names it."""

    id: str
    kind: OrderKind
    service_point: str
    activity_type: str
    requester: str
    reference: str
    account: str
    priority: int
    state: StateName
    state_title: str
    final: bool
    created_at: datetime
    effective_at: datetime
    service_at: datetime
    state_since: datetime | None
    ended_at: datetime | None
    children: int
    awaited_child: str | None
    stop_reason: str
    problem: ProblemOut | None
    fields: Mapping[str, str]

    @classmethod
    def of(cls, order: ServiceOrder) -> "OrderOut":
        return answer_from(
            cls,
            order,
            reference=order.external_reference,
            state=slug(order.state),
            state_title=order.state.value,
            stop_reason=order.stop,
            problem=ProblemOut.of(order.problem),
        )


class DecidedOut(OrderOut, kw_only=True):
    """The order after what people decided. `advice` is what they have to know of supply: who stays
    without it, or has it though it was to end."""

    advice: str

    @classmethod
    def after(cls, decided: Decided) -> "DecidedOut":
        order = OrderOut.of(decided.order)
        return cls(**structs.asdict(order), advice=decided.advice)


class ChildOut(Struct, kw_only=True):
    """A command, a visit or a wait. `detail_state` is the child's own state, where it has one;
    `answer_by` is when a visit has been silent, or a wait has lasted, for too long."""

    id: str
    activity: str
    task: str
    device: str | None
    state: ChildState
    detail_state: FieldState | None
    reason: str
    command: str | None
    algorithm: str
    row: str
    created_at: datetime
    answer_by: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, child: Child) -> "ChildOut":
        fact = child.fact
        own = child.field.state.value if child.field is not None else None
        return answer_from(
            cls,
            fact,
            activity=fact.spec.business_object,
            task=fact.spec.task,
            device=fact.spec.device,
            detail_state=own,
            command=child.command,
            answer_by=fact.spec.due_at if child.field is None else child.field.answer_by,
        )


class DecisionOut(Struct, kw_only=True):
    """One algorithm of the matrix: place, type, the row that decided, and what it saw."""

    cell: int
    type: str
    algorithm: str
    outcome: DecisionOutcome
    row: str
    note: str
    creates: str | None
    problem: ProblemOut | None
    fields: Mapping[str, str]
    facts: Mapping[str, str]

    @classmethod
    def of(cls, decision: Decision) -> "DecisionOut":
        child = decision.child
        return answer_from(
            cls,
            decision,
            creates=None if child is None else child.task or child.business_object,
            problem=ProblemOut.of(decision.problem),
        )


class EvaluationOut(Struct, kw_only=True):
    """One evaluation of the matrix, from fresh facts."""

    at: datetime
    decisions: list[DecisionOut]

    @classmethod
    def of(cls, look: OrderPass) -> "EvaluationOut":
        return cls(at=look.at, decisions=[DecisionOut.of(each) for each in look.decisions])


class RequestOut(Struct, kw_only=True):
    """A request to cancel or update, an activity of its own. `accepted` is None until it ends.
    Of `changes`, `changed` says where each is now, `not_changed` why it stays as it was."""

    id: str
    order: str
    purpose: Purpose
    state: RequestStateName
    accepted: bool | None
    action: str | None
    outcome: str
    requester: str
    reference: str
    reason: str
    changes: Mapping[str, str]
    changed: Mapping[str, str]
    not_changed: Mapping[str, str]
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, request: MaintenanceActivity) -> "RequestOut":
        return answer_from(
            cls,
            request,
            state=slug(request.state),
            accepted=request.state.name == "COMPLETED" if request.ended_at else None,
        )


class OrderShownOut(Struct, kw_only=True):
    """Everything that happened to an order, oldest first. `history`: each step, and who took it.
    `held`: why its connect or disconnect does not leave now; empty where nothing holds one."""

    order: OrderOut
    held: str
    children: list[ChildOut]
    evaluations: list[EvaluationOut]
    replies: list[ReplyOut]
    requests: list[RequestOut]
    history: list[HistoryEntry]

    @classmethod
    def of(cls, shown: OrderShown, history: Sequence[AuditEntry], held: str) -> "OrderShownOut":
        return cls(
            order=OrderOut.of(shown.order),
            held=held,
            children=[ChildOut.of(each) for each in shown.children],
            evaluations=[EvaluationOut.of(each) for each in shown.passes],
            replies=[ReplyOut.of(each) for each in shown.replies],
            requests=[RequestOut.of(each) for each in shown.requests],
            history=[HistoryEntry.of(each) for each in history],
        )


class OrderPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one."""

    items: list[OrderOut]
    unreadable: list[UnreadableOut]
    next: str | None


class PaymentOut(Struct, kw_only=True):
    """What a payment came to. `items` are the cuts that were open, `reconnection` is the order that
    gives supply back."""

    supply: PaidSupply
    text: str
    items: list[OrderOut]
    reconnection: OrderOut | None

    @classmethod
    def of(cls, paid: Payment) -> "PaymentOut":
        order = paid.reconnection
        return cls(
            supply=paid.supply,
            text=paid.text,
            items=[OrderOut.of(each) for each in paid.cuts],
            reconnection=None if order is None else OrderOut.of(order),
        )


class PlanStepOut(Struct, kw_only=True):
    number: int
    title: str
    activity: str
    task: str
    device: str | None
    cell: int
    type: str
    algorithm: str
    row: str
    note: str
    facts: Mapping[str, str]

    @classmethod
    def of(cls, step: PlanStep) -> "PlanStepOut":
        return answer_from(
            cls,
            step,
            activity=step.child.business_object,
            task=step.child.task,
            device=step.child.device,
        )


class PlanOut(Struct, kw_only=True):
    """The steps if every child behaves; what a crew would find is assumed. `refused_by` are the
    rules that would refuse the order today; `final_decisions` what the last evaluation decides."""

    outcome: StateName
    steps: list[PlanStepOut]
    refused_by: list[ProblemOut]
    problem: ProblemOut | None
    notes: list[str]
    final_decisions: list[DecisionOut]

    @classmethod
    def of(cls, plan: OrderPlan) -> "PlanOut":
        return cls(
            outcome=slug(plan.outcome),
            steps=[PlanStepOut.of(each) for each in plan.steps],
            refused_by=[told for each in plan.problems if (told := ProblemOut.of(each))],
            problem=ProblemOut.of(plan.problem),
            notes=list(plan.notes),
            final_decisions=[DecisionOut.of(each) for each in plan.decisions],
        )


# ---------------------------------------------------------------- the routes


async def submit_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(OrderIn)
    check_callback(api, wanted.callback_url)
    order = await api.gateway.orders.submit(
        wanted.request(requester=asked.actor), actor=asked.actor
    )
    return ApiResponse(
        status=202,
        body=OrderOut.of(order),
        headers={"Location": f"{PREFIX}/orders/{order.id}"},
    )


async def plan_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    request = asked.read(PlanIn).request(requester=asked.actor)
    return ApiResponse(body=PlanOut.of(await api.gateway.orders.plan(request)))


async def plan_rest_of_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=PlanOut.of(await api.gateway.orders.plan_of(_order(asked))))


async def list_orders(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    point, cursor = id_of(asked, "service_point"), cursor_of(asked)
    found = await api.gateway.orders.list(
        OrderFilter(
            kind=member(asked, "kind", OrderKind),
            state=_state(asked),
            service_point=ServicePointId(point) if point is not None else None,
            open_only=flag_of(asked, "open"),
            asked=asked_of(asked),
            before=OrderId(cursor) if cursor is not None else None,
            limit=limit,
        )
    )
    if not found.ids:
        await check_service_point(api, point)
    return ApiResponse(
        body=OrderPage(
            items=[OrderOut.of(order) for order in found.rows],
            unreadable=[UnreadableOut.of(row) for row in found.unreadable],
            next=found.next(limit),
        )
    )


async def get_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """`wait` is for its end, or for what needs a person."""
    orders, order = api.gateway.orders, _order(asked)
    if wait_s := wait_of(api, asked):
        with api.waiting.taken(asked.key):
            await orders.wait(order, timeout_s=wait_s)
    shown = await orders.show(order)
    held = await _held(api, shown)
    return ApiResponse(body=OrderShownOut.of(shown, await orders.history(order), held))


async def _held(api: ApiContext, shown: OrderShown) -> str:
    hold = next(iter(api.gateway.upkeep.holds.all()), None)
    if hold is None:
        return ""
    for each in shown.children:
        moves = each.fact.spec.command in SWITCH_KINDS and not each.fact.final
        if moves and each.command and unsent(await api.gateway.commands.get(each.command)):
            return hold.text
    return ""


async def cancel_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(CancelIn)
    request = await api.gateway.orders.cancel(
        _order(asked), by=asked.actor, reason=wanted.reason, reference=wanted.reference
    )
    return ApiResponse(body=RequestOut.of(request))


async def update_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(UpdateIn)
    request = await api.gateway.orders.update(
        _order(asked), wanted.changes, by=asked.actor, reference=wanted.reference
    )
    return ApiResponse(body=RequestOut.of(request))


async def retry_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    asked.read(NothingIn)
    order = await api.gateway.orders.operator.retry(_order(asked), by=asked.actor)
    return ApiResponse(body=OrderOut.of(order))


async def correct_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(CorrectIn)
    decided = await api.gateway.orders.operator.correct(
        _order(asked),
        by=asked.actor,
        fields=wanted.fields,
        effective_at=given_in_utc("effective_at", wanted.effective_at),
        service_at=given_in_utc("service_at", wanted.service_at),
    )
    return ApiResponse(body=DecidedOut.after(decided))


async def complete_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(CompleteIn)
    order = await api.gateway.orders.operator.complete_by_hand(
        _order(asked), by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=OrderOut.of(order))


async def discard_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(ReasonIn)
    decided = await api.gateway.orders.operator.discard(
        _order(asked), by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=DecidedOut.after(decided))


async def record_payment(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(PaymentIn)
    paid = await api.gateway.orders.payment(
        ServicePointId(wanted.service_point), by=asked.actor, reference=wanted.reference
    )
    return ApiResponse(body=PaymentOut.of(paid))


def _order(asked: ApiRequest) -> OrderId:
    return OrderId(asked.path["order"])


def _state(asked: ApiRequest) -> OrderState | None:
    given = asked.query.get("state")
    if given is None:
        return None
    found = next((each for each in OrderState if slug(each) == given), None)
    if found is None:
        known = [slug(each) for each in OrderState]
        raise bad_query("state", f"one of {', '.join(known)}{meant(given, known)}")
    return found
