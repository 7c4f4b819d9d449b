"""One trace from who asked to what came of it: for a command, an order, across a kill, onwards."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from adapter.commands.activity import CommandRequest, State
from adapter.commands.flows import CommandKind
from adapter.demo.demo import stage
from adapter.demo.order import DemoCrew, NewService, new_service, run_order
from adapter.engine import tracing
from adapter.engine.tracing import SPANS, SpanName
from adapter.errors import NotSent, SettingsError
from adapter.headend.client import HeadEndClient
from adapter.model.ids import EndpointId
from adapter.orders.order import OrderState
from adapter.service import app
from adapter.service.log import start_logging
from adapter.service.settings import TracingSettings
from adapter.service.tracing import OpenTelemetry
from adapter.simulator.faults import Effect
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.webhooks.envelope import envelope
from adapter.webhooks.settings import EventForm
from tests.durability.gateway_process import TOKEN, rig, until
from tests.engine.commands.quick_site import finish, script, world
from tests.headend.bad_head_ends import Server, http, replying
from tests.headend.calls_and_replies import DISCONNECT, settings, the_wire, token_reply

N = SpanName
CALLER: Final = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
COMMAND: Final = {N.SUBMIT, N.DISPATCH, N.CALL, N.CALLBACK, N.RESULT, N.COMPLETION}


@dataclass(frozen=True)
class Told:
    """A span as the collector has it."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: Mapping[str, object] = field(default_factory=dict)


def told_of(span: ReadableSpan) -> Told:
    about = span.get_span_context()
    assert about is not None
    return Told(
        name=span.name,
        trace=f"{about.trace_id:032x}",
        id=f"{about.span_id:016x}",
        parent="" if span.parent is None else f"{span.parent.span_id:016x}",
        attributes=dict(span.attributes or {}),
    )


@contextmanager
def traced(sampler: Sampler = ALWAYS_ON) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(OpenTelemetry(provider))
    try:
        yield exporter
    finally:
        tracing.trace_with(None)
        provider.shutdown()


def connected(spans: Sequence[Told], root: str = "") -> None:
    """All are of one trace, and each is a part of another or of the root."""
    assert len({each.trace for each in spans}) == 1
    known = {each.id for each in spans} | {root}
    assert all(each.parent in known for each in spans)
    assert sum(each.parent == root for each in spans) == 1


def attribute(span: Told, name: str) -> object:
    return span.attributes.get(f"openway.{name}", "")


async def test_a_command_is_one_trace_which_is_its_caller_s(tmp_path: Path) -> None:
    with traced() as collected:
        async with world(tmp_path) as made:
            with tracing.continued(CALLER):
                request = CommandRequest(
                    kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(23),)
                )
                done = await finish(made, request)
            rows = await made.app.core.store.outbox("nobody", limit=100)
    assert done.activity.state is State.COMPLETED
    spans = [told_of(each) for each in collected.get_finished_spans()]
    connected(spans, "b" * 16)
    assert {each.trace for each in spans} == {"a" * 32}
    assert {each.name for each in spans} >= COMMAND
    by_id = {each.id: each for each in spans}
    for each in spans:
        if each.name in (N.CALLBACK, N.RESULT, N.STATUS):
            assert by_id[each.parent].name == N.DISPATCH
        if each.name == N.CALL:
            assert by_id[each.parent].name in (N.DISPATCH, N.RESULT, N.STATUS)
        if each.name in (N.DISPATCH, N.COMPLETION):
            assert by_id[each.parent].name == N.SUBMIT
            assert attribute(each, "command") == done.id
            assert attribute(each, "endpoints") == 1
        assert attribute(each, "outcome")
    told = [each.publication for each in rows if each.publication.subject == done.id]
    assert {each.traceparent for each in told} == {done.activity.trace}


async def test_spans_have_the_attributes_of_their_table_and_no_customer_s(tmp_path: Path) -> None:
    with traced() as collected:
        async with world(tmp_path) as made:
            device = made.device(23)
            await finish(
                made, CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(device,))
            )
            endpoint = made.endpoint(23)
    for each in map(told_of, collected.get_finished_spans()):
        known = SPANS[SpanName(each.name)][2].split()
        assert {name.removeprefix("openway.") for name in each.attributes} <= set(known)
        values = " ".join(map(str, each.attributes.values()))
        assert device not in values
        assert endpoint not in values


async def test_an_order_and_its_children_are_one_trace(tmp_path: Path) -> None:
    crew, new = DemoCrew(), list[NewService]()
    plan = PopulationPlan(count=1, generating_share=0.0)
    endpoint = EndpointId(f"{plan.esn_prefix}{plan.first_number}")

    def prepare(simulator: Simulator) -> None:
        new.append(new_service(simulator, endpoint))

    with traced() as collected:
        config = SimulatorConfig(population=plan)
        async with stage(tmp_path, config=config, prepare=prepare, orders=crew.parts) as made:
            crew.bring(new[0].device)
            story = await run_order(made.app, new[0])
    order = story.shown.order
    assert order.state is OrderState.COMPLETED
    spans = [
        each
        for each in map(told_of, collected.get_finished_spans())
        if each.trace == order.trace.split("-")[1]
    ]
    connected(spans)
    assert {each.name for each in spans} >= {N.ORDER_PASS, *COMMAND}
    commands = {attribute(each, "command") for each in spans} - {""}
    assert len(commands) == 3
    submits = [each for each in spans if each.name == N.SUBMIT and each.parent]
    passes = {each.id for each in spans if each.name == N.ORDER_PASS}
    assert {each.parent for each in submits} <= passes


async def test_a_trace_that_is_not_sampled_tells_nothing_of_itself_and_is_passed_on(
    tmp_path: Path,
) -> None:
    with traced(ParentBased(TraceIdRatioBased(0.0))) as collected:
        async with world(tmp_path) as made:
            request = CommandRequest(
                kind=CommandKind.READ_DISCONNECT_STATE, devices=(made.device(3),)
            )
            own = await finish(made, request)
            with tracing.continued(CALLER):
                theirs = await finish(made, request)
    assert not int(own.activity.trace[-2:], 16) & 1
    spans = [told_of(each) for each in collected.get_finished_spans()]
    assert {each.trace for each in spans} == {"a" * 32}
    assert theirs.activity.trace.startswith("00-" + "a" * 32)


async def test_what_was_submitted_untraced_stays_so(tmp_path: Path) -> None:
    slow = script(Effect.DELAY_CALLBACK, seconds=0.3)
    async with world(tmp_path, slow) as made:
        commands = made.app.gateway.commands
        request = CommandRequest(kind=CommandKind.READ_DISCONNECT_STATE, devices=(made.device(3),))
        command = await commands.submit(request)
        with traced() as collected:
            done = await commands.wait(command.id, timeout_s=20.0)
        assert done.activity.state is State.COMPLETED
    assert not collected.get_finished_spans()


def test_an_error_is_told_by_its_code_and_not_by_its_text() -> None:
    with traced() as collected:
        with (
            pytest.raises(NotSent),
            tracing.span(N.CALL, None, operation="Control.DisconnectMeter"),
        ):
            raise NotSent("Jane Doe, 4 Elm Street")
        (span,) = collected.get_finished_spans()
    assert told_of(span).attributes["openway.outcome"] == NotSent("x").code
    assert "Jane" not in span.to_json()


@pytest.mark.parametrize("bad", ["", "nonsense", "00-" + "0" * 32 + "-" + "b" * 16 + "-01"])
def test_a_caller_who_names_no_trace_begins_none(bad: str) -> None:
    with traced():
        with tracing.continued(bad), tracing.span(N.SUBMIT, None) as made:
            assert made.traceparent.split("-")[1] not in bad or not bad
        assert tracing.current() == ""


def test_a_posted_event_carries_the_trace() -> None:
    event = msgspec.json.encode(
        {
            "seq": 1,
            "at": "2026-11-30T00:00:00Z",
            "id": "e1",
            "type": "openway.command.completed",
            "subject": "c1",
            "severity": "info",
            "data": {"id": "c1"},
            "traceparent": CALLER,
        }
    )
    for form in EventForm:
        made = envelope(event, form)
        read = from_http_event(HTTPMessage(headers=dict(made.headers), body=made.body))
        assert read.get_extension("traceparent") == CALLER


async def test_without_the_extra_the_start_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "adapter.service.tracing", None)
    asked = TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(SettingsError, match=r"openway-gateway\[otel\]"):
        async with app.traced(asked):
            pass


async def test_the_head_end_is_told_of_a_trace_only_where_a_setting_says_so() -> None:
    told = []
    for says in (False, True):
        async with Server(replying(http(200, token_reply()))) as server:
            with traced(), tracing.span(N.DISPATCH, CALLER):
                async with HeadEndClient(settings(server.url, traceparent=says), the_wire()) as it:
                    await it.call(DISCONNECT)
            told.append(server.seen[0].headers.get("traceparent", ""))
    assert told[0] == ""
    assert told[1].split("-")[1] == "a" * 32


def test_log_lines_have_the_trace_that_they_are_written_in() -> None:
    stream = StringIO()
    start_logging(stream=stream)
    log = logging.getLogger("adapter.x")
    with traced(), tracing.span(N.SUBMIT, CALLER):
        log.info("inside")
    log.info("outside")
    inside, outside = map(msgspec.json.decode, stream.getvalue().splitlines())
    assert (inside["trace"], "trace" in outside) == ("a" * 32, False)


# ---------------------------------------------------------------- a real collector, a real kill


class Collector:
    """Takes spans by OTLP, as any OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def names(self) -> set[str]:
        return {each.name for each in self.spans}


def _read(request: ExportTraceServiceRequest) -> Iterator[Told]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for each in scope.spans:
                ids = (each.trace_id, each.span_id, each.parent_span_id)
                yield Told(each.name, *(id_.hex() for id_ in ids))


async def test_a_callback_after_a_kill_and_a_restart_continues_the_trace(tmp_path: Path) -> None:
    late = script(Effect.DELAY_CALLBACK, seconds=2.0)
    unasked = script(Effect.CLOSE_BEFORE, "GetRequestStatus")  # so that it takes the callback
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Idempotency-Key": "traced",
        "traceparent": CALLER,
    }
    asked = {"kind": "remote_disconnect", "devices": ["M700003"]}
    with Collector() as collector:
        extra = f'[tracing]\nendpoint = "{collector.url}"\nevery_s = 0.05\n'
        async with (
            rig(tmp_path, [late, unasked], callback_attempts=50, extra=extra) as made,
            aiohttp.ClientSession(headers=headers) as caller,
        ):
            life = await made.start()
            async with caller.post(f"{made.api}/commands", json=asked) as answer:
                assert answer.status in (200, 202), await answer.text()
                command = (await answer.json())["id"]
            await until(lambda: N.DISPATCH in collector.names(), within_s=30, why="it is sent")
            await made.nursery.kill(life)
            before = len(collector.spans)
            life = await made.start()

            async def ended() -> bool:
                async with caller.get(f"{made.api}/commands/{command}") as answer:
                    return bool((await answer.json())["final"])

            await until(ended, within_s=60, why="it ends")
            assert await made.nursery.stop(life) == 0
    assert {each.name for each in collector.spans[before:]} >= {N.RESULT, N.COMPLETION}
    assert N.CALLBACK in collector.names()
    connected(collector.spans, "b" * 16)
