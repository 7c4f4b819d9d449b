"""D1-CREMTREXC, Create Meter Exchange Field Activity."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.model.device import Category
from adapter.orders.activities import FIELD_ACTIVITY, ChildKind
from adapter.orders.algorithms.mnemonics import Grammar, RowList, parse_row
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.rows import OLD_DEVICE
from adapter.orders.algorithms.verdict import Create, Pass, Verdict, Wait, field_child, refuse
from adapter.orders.order import CONNECT_NEW_DEVICE, ServiceOrder, View
from adapter.orders.tasks import FieldEffect

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "activity": "Activity and Specific Field Task to Create",
        "item_field_task": "(ours) field task for an item",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMeterExchange:
    """D1-CREMTREXC. `item_task` is ours: an item is exchanged by a task of its own."""

    activity_bo: str = FIELD_ACTIVITY
    task: str = "D1-ExchangeMeter"
    item_task: str = "D1-ExchangeDevice"


_EXCHANGE: Final = (FieldEffect.REMOVE, FieldEffect.INSTALL)


def parse(read: ParameterReader) -> CreateMeterExchange:
    default = CreateMeterExchange()
    text = read.text(
        "activity", f"activityBOToCreate={FIELD_ACTIVITY} specificFieldTask={default.task}"
    )
    row = parse_row(
        text, 1, RowList(where=read.where, grammar=Grammar.EXCHANGE, lookups=read.lookups)
    )
    if not row.task:
        raise read.fail("activity", "specificFieldTask is missing")
    if read.lookups.objects[row.business_object].kind is not ChildKind.FIELD:
        raise read.fail("activity", f"{row.business_object} is no field activity")
    task = read.lookups.task(row.task)
    if task is not None:
        read.check_effects("activity", task, _EXCHANGE)
    return CreateMeterExchange(
        activity_bo=row.business_object,
        task=row.task,
        item_task=read.task("item_field_task", default.item_task, *_EXCHANGE),
    )


def create_meter_exchange(order: ServiceOrder, view: View, params: CreateMeterExchange) -> Verdict:
    """D1-CREMTREXC, by its own child: the new device is often unknown before (inferred)."""
    item = view.service_point.category is Category.ITEM
    task = params.item_task if item else params.task
    own = [child for child in view.of(params.activity_bo) if child.spec.task == task]
    if any(child.completed for child in own):
        return Pass(note="exchanged")
    if own and not own[-1].final:
        return Wait(child=own[-1].id)
    if own and own[-1].number > order.first_of_retry:
        return refuse(
            "exchange_not_done",
            f"the exchange ended as {own[-1].state}: {own[-1].reason or 'no reason given'}",
            "retry for a new visit, or discard",
        )  # ours
    if not view.device_installed:
        return refuse(
            "no_device",
            "there is no device to exchange",
            "load its install event, then retry; or discard",
        )
    wish = order.fields.get(CONNECT_NEW_DEVICE)
    details = {CONNECT_NEW_DEVICE: wish} if wish else {}
    if view.device is not None:
        details[OLD_DEVICE] = view.device.id
    return Create(child=field_child(view, params.activity_bo, task, **details))
