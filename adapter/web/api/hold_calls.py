"""The routes of held switch orders and of the clock, each a few lines over the gateway."""

from adapter.engine.commands.switch_holds import HoldReason
from adapter.web.api import holds as schema
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse
from adapter.web.api.schema import ReasonIn


async def list_holds(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=schema.HoldList.of(api.gateway.upkeep.holds.all()))


async def confirm_hold(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """A person says that a reason is settled; answers with what is left."""
    reason = asked.read(ReasonIn).reason
    await api.gateway.upkeep.holds.confirm(asked.path["hold"], by=asked.actor, why=reason)
    return await list_holds(api, asked)


async def show_clock(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    watch = api.gateway.upkeep.clock_watch
    hold = api.gateway.upkeep.holds.of(HoldReason.CLOCK)
    return ApiResponse(
        body=schema.ClockOut(
            now=asked.now,
            expected=watch.expected(),
            off_by_s=watch.off_by_s(),
            held=None if hold is None else schema.HoldOut.of(hold),
        )
    )


async def ready(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The store answers and has not failed. What people have to see to is said."""
    found = await api.gateway.upkeep.ready()
    held = schema.HoldList.of(found.held).items
    status = "held" if held else "ready"
    warnings = _warnings(found.shared_endpoints)
    return ApiResponse(body=schema.ReadyOut(status=status, held=held, warnings=warnings))


def _warnings(shared_endpoints: int) -> list[str]:
    if not shared_endpoints:
        return []
    text = "named by more than one device: no switch order goes there until an import mends it"
    return [f"endpoints {text} ({shared_endpoints})"]
