"""Spans to an OpenTelemetry collector, by OTLP over HTTP: the extra `otel`.

What cannot be delivered is dropped: nothing waits for the collector.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Final

from opentelemetry import context
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapter import __version__
from adapter.engine.tracing import Attribute, SpanName, TraceSpan
from adapter.errors import GatewayError
from adapter.service.settings import TracingSettings

_PREFIX: Final = "openway."
_KINDS: Final = {SpanName.CALL: otel.SpanKind.CLIENT, SpanName.CALLBACK: otel.SpanKind.SERVER}
_W3C: Final = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Fits the engine's Tracer port, over a provider of the SDK."""

    def __init__(self, provider: otel.TracerProvider) -> None:
        self._tracer = provider.get_tracer("openway", __version__)

    def span(
        self, name: SpanName, parent: str | None, attributes: Mapping[str, Attribute]
    ) -> TraceSpan:
        made = self._tracer.start_span(
            name.value,
            None if parent is None else _context(parent),
            kind=_KINDS.get(name, otel.SpanKind.INTERNAL),
            attributes={f"{_PREFIX}{key}": each for key, each in attributes.items() if each != ""},
            record_exception=False,
            set_status_on_exception=False,
        )
        return _Span(made)

    def current(self) -> str:
        return _traceparent(otel.get_current_span())

    @contextmanager
    def continued(self, traceparent: str) -> Iterator[None]:
        token = context.attach(_context(traceparent))
        try:
            yield
        finally:
            context.detach(token)


class _Span:
    __slots__ = ("_span", "_token")

    def __init__(self, made: otel.Span) -> None:
        self._span = made

    @property
    def traceparent(self) -> str:
        return _traceparent(self._span)

    def set(self, name: str, value: Attribute) -> None:
        if value != "":
            self._span.set_attribute(f"{_PREFIX}{name}", value)

    def __enter__(self) -> TraceSpan:
        self._token = context.attach(otel.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        context.detach(self._token)
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """The text of an error may quote what came from outside: its code is told alone."""
        if error is not None:
            code = error.code if isinstance(error, GatewayError) else type(error).__name__
            self.set("outcome", code)
            self._span.set_status(otel.StatusCode.ERROR, code)
        self._span.end()


def _context(traceparent: str) -> context.Context:
    """That of a caller; an empty one where it names none."""
    return _W3C.extract({"traceparent": traceparent}, context.Context())


def _traceparent(span: otel.Span) -> str:
    found = span.get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def provider(settings: TracingSettings) -> TracerProvider:
    """What delivers spans in a thread of its own; `shutdown` delivers what is left."""
    about = {SERVICE_NAME: settings.service_name, SERVICE_VERSION: __version__}
    made = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.sampling),
        resource=Resource.create(about),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout_s)
    every = int(settings.every_s * 1_000)
    made.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=every))
    return made
