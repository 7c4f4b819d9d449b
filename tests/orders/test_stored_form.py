"""Everything that an engine has to keep of an order survives JSON unchanged."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec
import pytest

from adapter.model.device import InstallStatus
from adapter.model.ids import EventId, OrderId
from adapter.orders import events, field_activity_events
from adapter.orders.algorithms.verdict import Decision
from adapter.orders.completion import CompletionReport
from adapter.orders.evaluate import evaluate, next_event
from adapter.orders.field_activity import FieldActivity
from adapter.orders.lifecycle import step
from adapter.orders.maintenance import MaintenanceActivity, Purpose
from adapter.orders.order import (
    ActivityType,
    ChildFact,
    ChildId,
    OrderKind,
    OrderProblem,
    OrderState,
    ServiceOrder,
)
from adapter.orders.plan import SMART_COMMANDS
from adapter.orders.replies import RequesterReply
from adapter.orders.waits import WaitActivity
from tests.orders.builders import (
    NOON,
    a_child,
    a_reading,
    a_smart_meter,
    a_type,
    a_view,
    an_order,
)
from tests.support import for_every


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


def _decision() -> Decision:
    view = a_view(OrderKind.CUT, device=a_smart_meter(), status=InstallStatus.CONN_COMM)
    return evaluate(an_order(OrderKind.CUT), view).decisions[-1]


CHILD = a_child("D1-RemoteDisconnect", override=InstallStatus.DISCONN_COMM)
REPORT = CompletionReport(
    at=NOON,
    cause=EventId("e"),
    new_device=a_smart_meter("M-2"),
    new_capabilities=SMART_COMMANDS,
    measurements=(a_reading(),),
)
VALUES: list[object] = [
    an_order(OrderKind.CUT, fields={"a": "b"}, problem=OrderProblem(code="x", text="y")),
    an_order(OrderKind.CUT, state=OrderState.COMPLETED, ended_at=NOON),
    a_type(OrderKind.CUT),
    CHILD,
    _decision(),
    FieldActivity(
        id=ChildId("SO-1.1"), order=OrderId("SO-1"), spec=CHILD.spec, created_at=NOON,
        report=REPORT, appointment=field_activity_events.Slot(start=NOON, end=NOON),
    ),
    WaitActivity(id=ChildId("SO-1.1"), order=OrderId("SO-1"), spec=CHILD.spec, created_at=NOON),
    MaintenanceActivity(
        id="MA-1", purpose=Purpose.UPDATE, order=OrderId("SO-1"), requester="cis",
        reference="r", created_at=NOON, changes={"a": "b"},
    ),
    RequesterReply(
        id="r", order=OrderId("SO-1"), kind=events.ReplyKind.SUCCESS, requester="cis",
        external_reference="x", created_at=NOON, due_at=NOON + timedelta(hours=1),
    ),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda each: type(each).__name__)
def test_a_stored_value_comes_back_equal(value: object) -> None:
    stored = msgspec.json.encode(value, enc_hook=_plain)
    assert msgspec.json.decode(stored, type=type(value)) == value


STORABLE: list[type[object]] = [
    ServiceOrder,
    ActivityType,
    ChildFact,
    Decision,
    *events.Effect.__args__,
    *events.Event.__args__,
    *field_activity_events.FieldEvent.__args__,
    *field_activity_events.FieldWork.__args__,
]


@for_every("kind", STORABLE, ids=lambda each: each.__name__)
def test_every_event_and_effect_can_be_read_back_by_its_type(kind: type[object]) -> None:
    msgspec.json.Decoder(kind)


def test_the_effects_of_a_pass_come_back_equal() -> None:
    view = a_view(OrderKind.CUT, device=a_smart_meter(), status=InstallStatus.CONN_COMM)
    order = an_order(OrderKind.CUT)
    after = step(order, next_event(order, evaluate(order, view)), now=NOON)
    assert len(after.effects) == 4
    for effect in after.effects:
        stored = msgspec.json.encode(effect, enc_hook=_plain)
        assert msgspec.json.decode(stored, type=type(effect)) == effect
