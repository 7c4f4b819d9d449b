"""Routes of the settings in force: what they are, what has changed since, and taking it."""

from msgspec import Struct

from adapter.errors import Conflict
from adapter.settings.changes import RunningSettings, SettingState, TakenBy
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse, ReasonIn, answer_from


class SettingOut(Struct, kw_only=True):
    """One setting in force. `found` is what the settings file, the files that it names and the
    environment give now, null where that is in force, the same as the value where a secret or the
    content of a file is another."""

    name: str
    value: str
    origin: str
    taken_by: TakenBy
    found: str | None

    @classmethod
    def of(cls, state: SettingState) -> "SettingOut":
        return answer_from(cls, state)


class SettingList(Struct, kw_only=True):
    """In the order of the documentation. `file` is the settings file, empty where there is none;
    `problem` is why what was found could not be taken, empty where it could."""

    items: list[SettingOut]
    file: str
    problem: str


class ReloadedOut(Struct, kw_only=True):
    """What came of it. `restart`: settings that have changed and wait for a restart, by name.
    `problems`: what could not be taken; of that all stays as it was."""

    taken: list[str]
    restart: list[str]
    problems: list[str]


async def list_settings(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    live = _live(api)
    states, problem = await live.states()
    items = [SettingOut.of(each) for each in states]
    return ApiResponse(body=SettingList(items=items, file=live.file, problem=problem))


async def reload_settings(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """As SIGHUP does: API keys and tables too. What could not be taken is an answer, no error."""
    reason = asked.read(ReasonIn).reason
    report = await _live(api).reload(by=asked.actor, reason=reason)
    return ApiResponse(
        body=ReloadedOut(
            taken=list(report.taken), restart=list(report.restart), problems=list(report.problems)
        )
    )


def _live(api: ApiContext) -> RunningSettings:
    if api.live is None:
        raise Conflict("the settings are of no file: they change where they come from")
    return api.live
