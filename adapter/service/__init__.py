"""The running gateway: settings read, parts built and connected.

Everything that a program needs which embeds the gateway is imported from here::

    import asyncio

    from adapter.service import CommandKind, CommandRequest, DeviceId, build, load


    async def main() -> None:
        async with build(load("openway.toml")) as app:
            asked = CommandRequest(
                kind=CommandKind.REMOTE_CONNECT,
                devices=(DeviceId("M700002"),),
                idempotency_key="order-4712",
                requester="cis",
            )
            command = await app.gateway.commands.submit(asked)
            done = await app.gateway.commands.wait(command.id, timeout_s=60)
            print(done.activity.state, done.activity.outcome)


    asyncio.run(main())

`load` reads the settings, `build` runs the gateway and its interfaces, `Gateway` is what it can be
asked. What it raises on purpose is a GatewayError.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from adapter.commands.activity import CommandRequest, Outcome, ReadPeriod, State
    from adapter.commands.flows import CommandKind, Priority
    from adapter.engine.gateway import Gateway
    from adapter.engine.orders.requests import OrderRequest
    from adapter.engine.registry.ports import Import
    from adapter.errors import (
        Conflict,
        ContractError,
        Forbidden,
        GatewayError,
        InvalidRequest,
        NotFound,
        SettingsError,
        StoreFailed,
    )
    from adapter.model.device import Device, InstallEvent, ServicePoint
    from adapter.model.ids import CommandId, DeviceId, OrderId, ServicePointId
    from adapter.orders.algorithms.verdict import Pass
    from adapter.orders.order import OrderKind
    from adapter.service.app import App, build
    from adapter.service.assembly import OrderParts
    from adapter.service.settings import Settings, load

__all__ = [
    "App",
    "CommandId",
    "CommandKind",
    "CommandRequest",
    "Conflict",
    "ContractError",
    "Device",
    "DeviceId",
    "Forbidden",
    "Gateway",
    "GatewayError",
    "Import",
    "InstallEvent",
    "InvalidRequest",
    "NotFound",
    "OrderId",
    "OrderKind",
    "OrderParts",
    "OrderRequest",
    "Outcome",
    "Pass",
    "Priority",
    "ReadPeriod",
    "ServicePoint",
    "ServicePointId",
    "Settings",
    "SettingsError",
    "State",
    "StoreFailed",
    "build",
    "load",
]

_MODULES: Final = MappingProxyType(
    {
        "adapter.commands.activity": ("CommandRequest", "Outcome", "ReadPeriod", "State"),
        "adapter.commands.flows": ("CommandKind", "Priority"),
        "adapter.engine.gateway": ("Gateway",),
        "adapter.engine.orders.requests": ("OrderRequest",),
        "adapter.engine.registry.ports": ("Import",),
        "adapter.errors": (
            "Conflict",
            "ContractError",
            "Forbidden",
            "GatewayError",
            "InvalidRequest",
            "NotFound",
            "SettingsError",
            "StoreFailed",
        ),
        "adapter.model.device": ("Device", "InstallEvent", "ServicePoint"),
        "adapter.model.ids": ("CommandId", "DeviceId", "OrderId", "ServicePointId"),
        "adapter.orders.algorithms.verdict": ("Pass",),
        "adapter.orders.order": ("OrderKind",),
        "adapter.service.app": ("App", "build"),
        "adapter.service.assembly": ("OrderParts",),
        "adapter.service.settings": ("Settings", "load"),
    }
)
"""Imported when they are asked for: a command line that only reads settings needs no servers."""

_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
