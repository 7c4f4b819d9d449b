"""Service orders whose field work goes through files and webhooks, on the real engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.demo.demo import DemoSite, stage
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.orders.field_work import FieldMessage, FieldNews, FieldReport, Receipt
from adapter.engine.orders.ports import OrderShown
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import Conflict, NotFound
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.drop import FileDrop
from adapter.fieldwork.link import FieldWorkLink, NoFieldWork
from adapter.fieldwork.messages import message_json, read_message, read_report, report_json
from adapter.fieldwork.settings import CrewSettings, DropSettings, WebhookSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.fieldwork.webhook import WebhookFieldWork
from adapter.model.device import (
    ComponentKind,
    Device,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EventId, ServicePointId
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    MessageKind,
    Slot,
    WorkReported,
)
from adapter.orders.order import ChildId, ChildState, OrderKind, OrderState
from adapter.orders.replies import ReplyState
from adapter.service.assembly import OrderParts
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.settings import SimulatorConfig
from tests.engine.commands.quick_site import fast
from tests.fieldwork.crew_behind_webhooks import KEY, CrewBehindWebhooks, crew_elsewhere
from tests.support import run

QUICK = CrewSettings(book_s=0.01, lead_s=0.01, travel_s=0.01, work_s=0.02)
REGISTER = MeasuringComponent(id="kwh", kind=ComponentKind.SCALAR, quantity="Wh d")
METER = Device(id=DeviceId("M-1"), components=(REGISTER,))
POINT = ServicePointId("SP-1")
WAIT_S = 20.0


@asynccontextmanager
async def gateway(folder: Path, link: FieldWorkLink) -> AsyncIterator[DemoSite]:
    """A gateway whose visits go through `link`; a manual meter that is on, at SP-1."""
    config = SimulatorConfig(population=PopulationPlan(count=1, generating_share=0.0))
    async with stage(
        folder,
        config=config,
        settings=CommandSettings(policies=fast()),
        orders=OrderParts(field_work=link),
    ) as made:
        installed = InstallEvent(
            device=METER.id,
            service_point=POINT,
            installed_at=datetime(2024, 1, 1, tzinfo=UTC),
            status=InstallStatus.MANUAL_ON,
        )
        point = ServicePoint(id=POINT)
        await made.app.gateway.registry.import_devices(
            Import(devices=(METER,), service_points=(point,), installs=(installed,))
        )
        yield made


async def ordered(
    made: DemoSite, kind: OrderKind = OrderKind.CUT, reference: str = "1"
) -> OrderShown:
    order = await made.app.gateway.orders.submit(
        OrderRequest(kind=kind, service_point=POINT, external_reference=reference)
    )
    return await made.app.gateway.orders.show(order.id)


async def until(
    made: DemoSite, shown: OrderShown, holds: Callable[[OrderShown], bool]
) -> OrderShown:
    async with asyncio.timeout(WAIT_S):
        for _ in iter(int, 1):
            found = await made.app.gateway.orders.show(shown.order.id)
            if holds(found):
                return found
            await asyncio.sleep(0.01)
    raise AssertionError


def completed(shown: OrderShown) -> bool:
    return shown.order.state is OrderState.COMPLETED


def child_is(state: ChildState) -> Callable[[OrderShown], bool]:
    return lambda shown: bool(shown.children) and shown.children[-1].fact.state is state


async def status(made: DemoSite) -> InstallStatus | None:
    view = await made.app.gateway.registry.device(METER.id)
    return None if view.installed is None else view.installed.status


# ---------------------------------------------------------------- files


def report(shown: OrderShown, news: FieldNews, number: int = 1) -> FieldReport:
    activity = shown.children[-1].fact.id
    return FieldReport(id=f"R-{activity}-{number}", activity=activity, news=news)


def done(shown: OrderShown) -> WorkReported:
    activity = shown.children[-1].fact.id
    work = CompletionReport(at=datetime.now(UTC), cause=EventId(f"R-{activity}-1"))
    return WorkReported(report=work)


def lay(folder: Path, name: str, given: FieldReport) -> None:
    inside = folder / "in"
    (inside / f".{name}").write_bytes(report_json(given))
    (inside / f".{name}").rename(inside / name)


async def lies(folder: Path, name: str) -> None:
    async with asyncio.timeout(WAIT_S):
        for _ in iter(int, 1):
            if (folder / name).exists():
                return
            await asyncio.sleep(0.01)


async def test_an_order_goes_out_as_a_file_and_its_report_comes_in_as_one(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    link = FileDrop(DropSettings(folder=drop, poll_s=0.02))
    async with gateway(tmp_path, link) as made:
        shown = await until(made, await ordered(made), child_is(ChildState.SENT))
        (file,) = (drop / "out").iterdir()
        message = read_message(file.read_bytes())
        assert (message.task, message.site.device) == ("D1-CutForNonPayment", METER.id)
        lay(drop, "1.json", report(shown, done(shown)))
        lay(drop, "2.json", report(shown, done(shown)))  # the same again
        await until(made, shown, completed)
        await lies(drop / "done", "2.json")
        assert await status(made) is InstallStatus.MANUAL_OFF
        assert (await made.app.gateway.registry.device(METER.id)).installed is not None
        late = report(shown, CrewStarted(), number=2)
        lay(drop, "3.json", late)
        await lies(drop / "failed", "3.json.reason")
    assert (drop / "failed" / "3.json.reason").read_text().startswith("illegal_transition")


async def test_a_report_taken_before_a_crash_changes_nothing_after_it(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    link = FileDrop(DropSettings(folder=drop, poll_s=60.0))
    async with gateway(tmp_path, link) as made:
        shown = await until(made, await ordered(made), child_is(ChildState.SENT))
        given = report(shown, done(shown))
        assert await made.app.gateway.orders.receive(given) is Receipt.APPLIED
        lay(drop, "1.json", given)  # as if the process had ended before the file was moved
        await link.look(made.app.gateway.orders)
        after = await until(made, shown, completed)
        history = (await made.app.gateway.registry.device(METER.id)).installed
        assert history is not None
        assert len(history.history) == 1
        assert len(after.children) == 1
    assert [path.name for path in (drop / "done").iterdir()] == ["1.json"]


async def test_without_a_field_work_system_a_visit_waits_for_people(tmp_path: Path) -> None:
    async with gateway(tmp_path, NoFieldWork()) as made:
        shown = await until(made, await ordered(made), child_is(ChildState.COMMUNICATION_ERROR))
        (todo,) = await made.app.gateway.orders.todo()
        assert "no field work system is set up (field_work.kind is none)" in todo.text
        assert "set field_work.kind to file or webhook" in todo.action
        assert "complete the visit by hand" in todo.action
        replies = (await made.app.gateway.orders.show(shown.order.id)).replies
        assert replies
        assert {each.state for each in replies} <= {ReplyState.QUEUED, ReplyState.NO_RECEIVER}
        work = CompletionReport(at=datetime.now(UTC), cause=EventId("by hand"))
        await made.app.gateway.orders.operator.complete_visit(
            shown.children[0].fact.id, work, by="desk"
        )
        after = await until(
            made, shown, lambda s: completed(s) and s.replies[-1].state is not ReplyState.QUEUED
        )
        assert not await made.app.gateway.orders.todo()
        assert {each.state for each in after.replies} == {ReplyState.NO_RECEIVER}
        assert {each.attempts for each in after.replies} == {0}
        assert "replies.url" in after.replies[-1].last_error


# ---------------------------------------------------------------- webhooks


@pytest.mark.parametrize("fails", [0, 1])
async def test_an_order_goes_through_a_crew_behind_webhooks(tmp_path: Path, fails: int) -> None:
    street = SimulatedStreet({METER.id: METER}.get)
    there = CrewBehindWebhooks(Crew(QUICK, SystemClock(), street=street), fails=fails)
    async with crew_elsewhere(there) as url:
        link = WebhookFieldWork(WebhookSettings(url=url, keys=(KEY,), port=0), SystemClock())
        async with gateway(tmp_path, link) as made:
            there.report_url = link.report_url
            shown = await until(made, await ordered(made, OrderKind.DISABLE), completed)
            does = [child.fact.spec.task for child in shown.children]
            assert does == ["D1-TurnOffMeter"]
            assert "readValue" in shown.order.fields
    assert set(there.statuses) == {200}


# ---------------------------------------------------------------- rules reached through the port


@dataclass
class Kept:
    """A link that keeps what it is sent; `then` follows each message."""

    messages: list[FieldMessage] = field(default_factory=list)
    inbox: object = None

    async def start(self, inbox: object) -> None:
        self.inbox = inbox

    async def stop(self) -> None:
        pass

    async def send(self, message: FieldMessage) -> None:
        self.messages.append(message)

    @property
    def kinds(self) -> list[MessageKind]:
        return [message.kind for message in self.messages]


Then = Callable[[DemoSite, OrderShown, Kept], Awaitable[None]]


def with_visit(folder: Path, then: Then) -> None:
    """A cut whose visit is with the field system, and what follows."""

    async def goes() -> None:
        link = Kept()
        async with gateway(folder, link) as made:
            shown = await until(made, await ordered(made), child_is(ChildState.SENT))
            await then(made, shown, link)

    run(goes())


def test_a_change_goes_out_after_the_visit_with_what_changed(tmp_path: Path) -> None:
    async def then(made: DemoSite, shown: OrderShown, link: Kept) -> None:
        await made.app.gateway.orders.update(shown.order.id, {"contact": "ring twice"}, by="cis")
        await until(made, shown, lambda _: len(link.messages) == 2)
        assert link.kinds == [MessageKind.DISPATCH, MessageKind.MODIFY]
        assert link.messages[1].details == {"contact": "ring twice"}
        assert [message.number for message in link.messages] == [1, 2]

    with_visit(tmp_path, then)


def test_a_cancel_goes_out_with_its_reason_and_once(tmp_path: Path) -> None:
    async def then(made: DemoSite, shown: OrderShown, link: Kept) -> None:
        order = shown.order.id
        first = await made.app.gateway.orders.cancel(order, by="cis", reason="CM-X", reference="c")
        again = await made.app.gateway.orders.cancel(order, by="cis", reason="CM-X", reference="c")
        assert first.id == again.id
        await until(made, shown, lambda _: len(link.messages) == 2)
        assert link.messages[1].kind is MessageKind.CANCEL
        assert link.messages[1].details["reason"] == "CM-X"

    with_visit(tmp_path, then)


def test_the_visits_of_two_orders_on_one_service_point_do_not_meet(tmp_path: Path) -> None:
    """The second order has the first called back, and waits for what becomes of it as a whole,
    before any conflict of their tasks."""

    async def then(made: DemoSite, shown: OrderShown, link: Kept) -> None:
        other = await ordered(made, OrderKind.RECONNECT, reference="2")
        waits = await until(
            made, other, lambda each: each.order.state is OrderState.VALIDATION_ERROR
        )
        assert waits.order.problem is not None
        assert waits.order.problem.order == shown.order.id
        assert not waits.children
        await until(made, other, lambda each: len(link.kinds) == 2)
        assert link.kinds == [MessageKind.DISPATCH, MessageKind.CANCEL]
        await made.app.gateway.orders.receive(report(shown, done(shown)))
        await until(made, other, child_is(ChildState.SENT))
        assert [message.task for message in link.messages] == [
            "D1-CutForNonPayment",
            "D1-CutForNonPayment",
            "D1-ReconnectForPayment",
        ]

    with_visit(tmp_path, then)


def test_news_that_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def then(made: DemoSite, shown: OrderShown, link: Kept) -> None:
        unknown = replace(report(shown, CrewStarted()), activity=ChildId("nobody.1"))
        with pytest.raises(NotFound):
            await made.app.gateway.orders.receive(unknown)
        given = report(shown, done(shown))
        assert await made.app.gateway.orders.receive(given) is Receipt.APPLIED
        assert await made.app.gateway.orders.receive(given) is Receipt.REPEATED
        with pytest.raises(Conflict):
            await made.app.gateway.orders.receive(report(shown, CrewStarted(), number=7))
        assert await status(made) is InstallStatus.MANUAL_OFF

    with_visit(tmp_path, then)


async def test_a_report_of_another_meter_waits_for_people_who_correct_it(tmp_path: Path) -> None:
    link = Kept()
    async with gateway(tmp_path, link) as made:
        shown = await until(
            made, await ordered(made, OrderKind.EXCHANGE), child_is(ChildState.SENT)
        )
        activity = shown.children[0].fact.id
        new = Device(id=DeviceId("M-2"), components=(REGISTER,))
        wrong = CompletionReport(
            at=datetime.now(UTC) + timedelta(seconds=1),
            cause=EventId("w"),
            new_device=new,
            removed_device=DeviceId("M-7"),
        )
        await made.app.gateway.orders.receive(report(shown, WorkReported(report=wrong)))
        await until(made, shown, child_is(ChildState.COMPLETION_ERROR))
        assert await status(made) is InstallStatus.MANUAL_ON
        right = replace(wrong, removed_device=METER.id, cause=EventId("r"))
        await made.app.gateway.orders.operator.complete_visit(activity, right, by="desk")
        after = await made.app.gateway.orders.show(shown.order.id)
        assert after.children[0].fact.state is ChildState.COMPLETED
        view = await made.app.gateway.registry.device(new.id)
        assert view.service_point is not None
        assert view.service_point.id == POINT


async def test_an_enable_order_tells_the_crew_which_device_to_install_and_takes_what_it_installed(
    tmp_path: Path,
) -> None:
    link = Kept()
    async with gateway(tmp_path, link) as made:
        bare = ServicePoint(id=ServicePointId("SP-2"), connected=False)
        await made.app.gateway.registry.import_devices(Import(service_points=(bare,)))
        order = await made.app.gateway.orders.submit(
            OrderRequest(
                kind=OrderKind.ENABLE,
                service_point=bare.id,
                external_reference="new",
                fields={"newDevice": "M-2"},
            )
        )
        shown = await until(
            made, await made.app.gateway.orders.show(order.id), lambda _: bool(link.messages)
        )
        assert link.kinds == [MessageKind.SLOTS]
        slot = Slot(start=datetime.now(UTC), end=datetime.now(UTC) + timedelta(hours=1))
        await made.app.gateway.orders.receive(report(shown, AppointmentBooked(slot=slot), number=1))
        await until(made, shown, child_is(ChildState.SENT))
        for message in link.messages:
            assert message.details == {"newDevice": "M-2"}
            assert b'"details":{"newDevice":"M-2"}' in message_json(message)
        there = Device(id=DeviceId("M-3"), components=(REGISTER,))
        work = CompletionReport(at=datetime.now(UTC), cause=EventId("w"), new_device=there)
        given = report(shown, WorkReported(report=work), number=2)
        await made.app.gateway.orders.receive(read_report(report_json(given)))
        view = await made.app.gateway.registry.device(there.id)
        assert view.service_point is not None, "what the crew says goes before the wish"
        assert (view.service_point.id, view.service_point.connected) == (bare.id, True)
