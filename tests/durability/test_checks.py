"""Every rule finds what it is there for: an honest run, then a ledger that is tampered with."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from adapter.commands.activity import Command, CommunicationState, State, Tally
from adapter.commands.calls import SwitchState
from adapter.commands.flows import SWITCH_KINDS
from adapter.engine.commands.ports import InboxState
from adapter.model.device import DeviceView
from adapter.model.values import replace
from tests.durability.checks import Ledgers, Wrong, judge
from tests.durability.gateway_process import Life, Rig
from tests.durability.requesters import Requesters
from tests.durability.runs import Plan, play
from tests.support import run

L, D, U = Wrong.LOST, Wrong.DOUBLED, Wrong.UNEXPECTED


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    async def alive(made: Rig, asked: Requesters) -> Life:
        return await made.start()

    plan = Plan(title="in peace", deaths=alive, scripts=(), meters=12, at_least=25)
    ledgers, _ = run(play(tmp_path_factory.mktemp("honest"), plan))
    return ledgers


def switched(ledgers: Ledgers) -> Command:
    return next(
        item
        for item in ledgers.store.commands.values()
        if item.request.kind in SWITCH_KINDS and item.activity.state is State.COMPLETED
    )


def view_of(ledgers: Ledgers, command: Command) -> DeviceView:
    return ledgers.store.devices[command.request.devices[0]]


def forget_a_command(all_: Ledgers) -> None:
    del all_.store.commands[all_.requesters[0].ids[0]]


def answer_with_two_ids(all_: Ledgers) -> None:
    all_.requesters[0].ids.append(all_.requesters[1].ids[0])


def make_up_a_command(all_: Ledgers) -> None:
    made_up = switched(all_)
    request = replace(made_up.request, idempotency_key="nobody's")
    all_.store.commands[made_up.id] = replace(made_up, request=request)


def leave_one_open(all_: Ledgers) -> None:
    command = switched(all_)
    activity = replace(command.activity, state=State.COMMUNICATION_IN_PROGRESS)
    all_.store.commands[command.id] = replace(command, activity=activity)


def tell_an_end_twice(all_: Ledgers) -> None:
    command = switched(all_).id
    end = next(
        row
        for row in all_.store.publications
        if row.publication.subject == command and row.publication.type.endswith(".completed")
    )
    all_.store.publications.append(end)


def forget_a_publication(all_: Ledgers) -> None:
    del all_.store.sent_to_sink[all_.store.publications[0].publication.id]


def skip_an_audit_entry(all_: Ledgers) -> None:
    moving = [row for row in all_.store.audit if row.note.action == "OutcomeReceived"]
    all_.store.audit.remove(moving[0])


def forget_an_acceptance(all_: Ledgers) -> None:
    asked = [row for row in all_.store.audit if row.note.action == "Submitted"]
    all_.store.audit.remove(asked[0])


def break_the_chain(all_: Ledgers) -> None:
    all_.store.broken_chain = "audit entry 7 was changed"


def send_an_order_again(all_: Ledgers) -> None:
    order = all_.head_end.switch_orders[0]
    again = replace(order, sequence=10**6)
    all_.head_end.orders[again.sequence] = again


def send_an_order_without_noting_it(all_: Ledgers) -> None:
    command = all_.store.commands[all_.head_end.switch_orders[0].command]
    unsent = tuple(replace(item, sent_at=None) for item in command.communications)
    all_.store.commands[command.id] = replace(command, communications=unsent)


def let_two_orders_overlap(all_: Ledgers) -> None:
    job = all_.head_end.jobs[0]
    all_.head_end.jobs.append(replace(job, token="another"))


def lose_a_callback(all_: Ledgers) -> None:
    all_.store.inbox.pop()


def change_a_callback(all_: Ledgers) -> None:
    all_.store.inbox[0] = replace(all_.store.inbox[0], raw=all_.store.inbox[0].raw + b" ")


def leave_a_callback_unread(all_: Ledgers) -> None:
    all_.store.inbox[0] = replace(all_.store.inbox[0], state=InboxState.NEW)


def forget_an_effect(all_: Ledgers) -> None:
    view = view_of(all_, switched(all_))
    assert view.installed is not None
    fewer = replace(view.installed, history=view.installed.history[:-1])
    all_.store.devices[view.device.id] = replace(view, installed=fewer)


def repeat_an_effect(all_: Ledgers) -> None:
    view = view_of(all_, switched(all_))
    assert view.installed is not None
    more = replace(view.installed, history=view.installed.history[:1] + view.installed.history)
    all_.store.devices[view.device.id] = replace(view, installed=more)


def move_a_meter_by_hand(all_: Ledgers) -> None:
    endpoint = view_of(all_, switched(all_)).device.endpoint
    assert endpoint is not None
    meter = all_.head_end.meters[endpoint]
    on, off = SwitchState.CONNECTED, SwitchState.DISCONNECTED
    other = off if meter.switch is on else on
    all_.head_end.meters[endpoint] = replace(meter, switch=other)


def lose_an_endpoint(all_: Ledgers) -> None:
    command = switched(all_)
    activity = replace(command.activity, tally=Tally(requested=3, succeeded=2))
    all_.store.commands[command.id] = replace(command, activity=activity)


def end_an_communication_elsewhere(all_: Ledgers) -> None:
    command = switched(all_)
    ended = (
        replace(command.communications[0], state=CommunicationState.FAILED),
        *command.communications[1:],
    )
    all_.store.commands[command.id] = replace(command, communications=ended)


@dataclass(frozen=True)
class Row:
    """`wrong` None: what it is depends on whether the meter happens to be on."""

    tamper: Callable[[Ledgers], None]
    wrong: Wrong | None
    rule: str

    def __str__(self) -> str:
        return self.tamper.__name__


ROWS: Final = [
    Row(forget_a_command, L, "acknowledged"),
    Row(answer_with_two_ids, D, "acknowledged"),
    Row(make_up_a_command, U, "acknowledged"),
    Row(leave_one_open, L, "final"),
    Row(tell_an_end_twice, D, "final"),
    Row(forget_a_publication, L, "publications"),
    Row(skip_an_audit_entry, U, "moves"),
    Row(end_an_communication_elsewhere, U, "moves"),
    Row(forget_an_acceptance, L, "audit"),
    Row(break_the_chain, L, "audit"),
    Row(send_an_order_again, D, "switch orders"),
    Row(send_an_order_without_noting_it, U, "switch orders"),
    Row(let_two_orders_overlap, U, "one in flight"),
    Row(lose_a_callback, L, "callbacks"),
    Row(change_a_callback, U, "callbacks"),
    Row(leave_a_callback_unread, L, "conservation"),
    Row(forget_an_effect, L, "effects"),
    Row(repeat_an_effect, D, "effects"),
    Row(move_a_meter_by_hand, None, "registry"),
    Row(lose_an_endpoint, U, "outcomes"),
]


def test_an_honest_run_gives_no_cause(honest: Ledgers) -> None:
    assert not judge(honest, title="in peace", kills=0).findings


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_ledger_that_is_tampered_with_is_found_out(row: Row, honest: Ledgers) -> None:
    tampered = copy.deepcopy(honest)
    row.tamper(tampered)
    report = judge(tampered, title=str(row), kills=0)
    found = [each.wrong for each in report.findings if each.rule == row.rule]
    assert found
    assert row.wrong in (None, *found)
