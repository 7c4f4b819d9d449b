"""A client of the REST API for programs of others: typed, async, with the API's own types.

    from adapter.client import CommandIn, CommandKind, GatewayClient

    async with GatewayClient("http://127.0.0.1:8102", key) as gateway:
        made = await gateway.submit_command(
            CommandIn(kind=CommandKind.LOAD_CHECK, devices=["M700001"], idempotency_key="work-17")
        )
        done = await gateway.wait_command(made.id, timeout_s=60)
        print(done.state, done.outcome)

Its methods bear the names of the operations of the OpenAPI document, and give what those give. What
the API refuses is an ApiProblem, of a class that says what to do about it, with the field and the
rule that it names.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from adapter.client.client import GatewayClient
    from adapter.client.errors import (
        ApiProblem,
        BadRequest,
        KeyRefused,
        NoSuchThing,
        StateForbids,
        TryLater,
        Unreachable,
    )
    from adapter.commands.activity import Outcome, State
    from adapter.commands.flows import CommandKind, Priority
    from adapter.model.device import DeviceView
    from adapter.orders.order import OrderKind
    from adapter.web.api.bulk import BulkIn, BulkOut, BulkRowOut
    from adapter.web.api.commands import CommandIn, CommandOut, Outcomes, PeriodIn
    from adapter.web.api.feed import EventOut, EventPageOut
    from adapter.web.api.orders import OrderIn, OrderOut, OrderShownOut, RequestOut
    from adapter.web.api.todo import TodoList, TodoOut, TodoShown

__all__ = [
    "ApiProblem",
    "BadRequest",
    "BulkIn",
    "BulkOut",
    "BulkRowOut",
    "CommandIn",
    "CommandKind",
    "CommandOut",
    "DeviceView",
    "EventOut",
    "EventPageOut",
    "GatewayClient",
    "KeyRefused",
    "NoSuchThing",
    "OrderIn",
    "OrderKind",
    "OrderOut",
    "OrderShownOut",
    "Outcome",
    "Outcomes",
    "PeriodIn",
    "Priority",
    "RequestOut",
    "State",
    "StateForbids",
    "TodoList",
    "TodoOut",
    "TodoShown",
    "TryLater",
    "Unreachable",
]

_MODULES: Final = MappingProxyType(
    {
        "adapter.client.client": ("GatewayClient",),
        "adapter.client.errors": (
            "ApiProblem",
            "BadRequest",
            "KeyRefused",
            "NoSuchThing",
            "StateForbids",
            "TryLater",
            "Unreachable",
        ),
        "adapter.commands.activity": ("Outcome", "State"),
        "adapter.commands.flows": ("CommandKind", "Priority"),
        "adapter.model.device": ("DeviceView",),
        "adapter.orders.order": ("OrderKind",),
        "adapter.web.api.bulk": ("BulkIn", "BulkOut", "BulkRowOut"),
        "adapter.web.api.commands": ("CommandIn", "CommandOut", "Outcomes", "PeriodIn"),
        "adapter.web.api.feed": ("EventOut", "EventPageOut"),
        "adapter.web.api.orders": ("OrderIn", "OrderOut", "OrderShownOut", "RequestOut"),
        "adapter.web.api.todo": ("TodoList", "TodoOut", "TodoShown"),
    }
)
"""Imported when they are asked for: the command line needs the errors alone."""

_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
