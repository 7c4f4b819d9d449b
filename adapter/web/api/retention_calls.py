"""The routes of retention, each a few lines over `Retention`."""

from adapter.web.api import upkeep as schema
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse


async def show_retention(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=schema.RetentionOut.of(api.gateway.upkeep.retention))


async def run_retention(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The sweep goes on in the background, at its own pace."""
    api.gateway.upkeep.retention.ask()
    return await show_retention(api, asked)
