"""A store in which everything that strangers can name is an attack on who looks at it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from xml.sax.saxutils import escape

from adapter.commands.activity import (
    TO_DO,
    Command,
    CompletionEvent,
    CompletionState,
    Failure,
    Outcome,
    State,
    Target,
)
from adapter.commands.flows import CommandKind, Completion
from adapter.engine.commands.ports import Change, Import, LoggedCall
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.upkeep.durations import Measure
from adapter.engine.upkeep.set_aside import WAITS, RowKind
from adapter.model.ids import DeviceId, EndpointId, EventId, ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from tests.builders import (
    a_command,
    a_communication,
    a_device,
    a_note,
    a_publication,
    a_request,
    a_service_point,
    a_submission,
    an_install,
)
from tests.web.both_servers import NOON, XML, Rig
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

ATTACK: Final = """<script>x</script>"'&{{7*7}}<img src=x onerror=y>"""
SHOWN: Final = "&lt;script&gt;x&lt;/script&gt;"
BAD: Final = f"M{ATTACK}"
METER: Final = BAD.replace("{{7*7}}", "")
"""Braces are in no address of a page."""


def commands() -> Iterator[Command]:
    for number, state in enumerate(sorted(TO_DO), 1):
        made = a_command(
            number,
            request=a_request(
                CommandKind.REMOTE_DISCONNECT, BAD, reference=ATTACK, requester=ATTACK
            ),
            state=state,
            reason=ATTACK,
            waits_since=NOON - timedelta(hours=number),
            hold_until=NOON + timedelta(days=1),
        )
        communication = a_communication(
            made.id, failure=Failure(cause="refused", detail=ATTACK), token=f"{number}{ATTACK}"
        )
        event = CompletionEvent(
            id=EventId(f"{made.id}:{Completion.DISCONNECT_DEVICE}"),
            kind=Completion.DISCONNECT_DEVICE,
            at=NOON,
            state=CompletionState.ERROR,
            error=ATTACK,
        )
        activity = replace(
            made.activity,
            expires_at=NOON + timedelta(days=1),
            outcome=Outcome.UNKNOWN if state is State.NEEDS_PERSON else None,
            violations=(ATTACK,),
            completions=(event,),
            approved_by=ATTACK,
        )
        target = Target(device=DeviceId(BAD), endpoint=EndpointId(ATTACK))
        yield replace(made, activity=activity, targets=(target,), communications=(communication,))


async def plant(rig: Rig) -> None:
    store, gateway = rig.store, rig.gateway
    await gateway.registry.import_devices(
        Import(
            devices=(a_device("M-H"),),
            service_points=(a_service_point("SP-H"),),
            installs=(an_install("M-H", "SP-H"),),
        )
    )
    meter = replace(
        a_device(METER),
        endpoint=EndpointId(f"E{ATTACK}"),
        serial=ATTACK,
        groups=frozenset({ATTACK}),
    )
    # As no import lets it in.
    await store.import_(
        Import(
            devices=(meter,),
            service_points=(a_service_point(f"SP{ATTACK}"),),
            installs=(an_install(METER, f"SP{ATTACK}"),),
        )
    )
    gateway.upkeep.durations.add(Measure.CALL, f"Service.{ATTACK}", 0.1)
    gateway.upkeep.durations.add(Measure.TOKEN_TO_RESULT, f"Service.{ATTACK}", 0.1)
    for number, command in enumerate(commands(), 1):
        await store.submit([a_submission(number, command=command)])
        store.log_call(
            LoggedCall(
                communication=command.communications[0].id,
                sent_at=NOON,
                replied_at=NOON,
                operation=f"Service.{ATTACK}",
                request=f"<a>{ATTACK}</a>".encode(),
                status=200,
                reply=ATTACK.encode(),
            )
        )
        note = a_note(command.id, ATTACK, what=ATTACK, moves=[[command.id, ATTACK, ATTACK]])
        await store.save([Change(audit=(note,))])
    for _ in range(len(WAITS) + 1):
        await store.set_aside.fail(RowKind.EVENT, ATTACK, ValueError(ATTACK))
    await gateway.upkeep.holds.hold(Hold(reason=HoldReason.WITNESS, since=NOON, text=ATTACK))
    kinds = (OrderKind.CUT, OrderKind.EXCHANGE)
    for number, kind in enumerate(kinds):
        await gateway.orders.submit(
            OrderRequest(
                kind=kind,
                service_point=ServicePointId("SP-H"),
                external_reference=f"{number}{ATTACK}",
                requester=ATTACK,
                account=ATTACK,
            ),
            actor=ATTACK,
        )
    await gateway.orders.drain()
    await rig.post("/openway/status", f"<nonsense>{ATTACK}".encode(), XML)
    await store.save([Change(publications=(a_publication("a", type="openway.order.completed"),))])
    schedule = {
        "kind": "scheduled_read_scalar",
        "group": "G<b>1",
        "name": ATTACK,
        "recurrence": {"first": "00:00:00", "length_s": 3600},
    }
    made = await rig.ask("POST", "/schedules", schedule, by="operator")
    assert made.status == 202, made
    log = event_log(meter_event(escape(ATTACK)).replace("<e:ID>18001</e:ID>", ""))
    await rig.post("/openway/data", data_arrived(read_data(escape(ATTACK), [1, 2])), XML)
    own = "2.16.840.1.114416.15.243.700001"
    await rig.post("/openway/data", data_arrived(read_data(own, [1], log=log)), XML)
    await gateway.drain()
