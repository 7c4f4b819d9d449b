"""One page as somebody looks at it: what was asked for, and the calls that answer it.

A page calls the functions behind the REST routes, in this process: what it shows, and the rules by
which it is let, are the same.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from msgspec import Struct

from adapter.errors import Conflict, NotFound
from adapter.server.credentials import Caller
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse
from adapter.web.api.measured import Measured
from adapter.web.api.problems import ProblemRaised
from adapter.web.console.closed import ClosedEntries

S = TypeVar("S", bound=Struct)

NOTHING: Final[Mapping[str, str]] = {}
ApiCall = Callable[[ApiContext, ApiRequest], Awaitable[ApiResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """`path` has the ids in the page's address, `query` its filters. `metrics` gives what the
    gateway measures of itself, as /metrics does; None where it is not measured."""

    api: ApiContext
    now: datetime
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    metrics: Measured | None = None
    closed: ClosedEntries = field(default_factory=ClosedEntries)

    async def read(
        self,
        kind: type[S],
        call: ApiCall,
        query: Mapping[str, str] = NOTHING,
        path: Mapping[str, str] | None = None,
    ) -> S:
        """What a GET route answers. It shows the same to whoever may see the page. Raises what the
        route raises."""
        asked = ApiRequest(
            key=None,
            headers={},
            path=self.path if path is None else path,
            query=query,
            body=None,
            now=self.now,
        )
        answered = await call(self.api, asked)
        assert isinstance(answered.body, kind)
        return answered.body

    async def read_if_there(
        self,
        kind: type[S],
        call: ApiCall,
        query: Mapping[str, str] = NOTHING,
        path: Mapping[str, str] | None = None,
    ) -> S | None:
        """None where the route answers 404 or 409: there is none of it here."""
        try:
            return await self.read(kind, call, query, path)
        except (Conflict, NotFound):
            return None
        except ProblemRaised as raised:
            if raised.problem.status in (404, 409):
                return None
            raise


async def carry_out(
    api: ApiContext,
    call: ApiCall,
    *,
    caller: Caller,
    path: Mapping[str, str],
    body: Struct,
    headers: Mapping[str, str],
    now: datetime,
) -> ApiResponse:
    """What a POST route does, in the name of the caller's key."""
    asked = ApiRequest(key=caller, headers=headers, path=path, query={}, body=body, now=now)
    return await call(api, asked)
