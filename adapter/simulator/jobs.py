"""One request the head end has taken: its token, what it covers, how far it is, how it ended."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from adapter.commands.calls import (
    FailureReason,
    ReadParameters,
    RemoteResult,
    RemoteState,
    SwitchReading,
)
from adapter.errors import GatewayError
from adapter.model.ids import EndpointId, RequestToken
from adapter.simulator.meters import Failed


class FaultRaised(GatewayError):
    """The simulated head end answers with a named fault. `fields` in the contract's names."""

    code = "simulated_fault"

    def __init__(self, name: str, message: str, **fields: object) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.fields = fields


class JobRequest(Struct, frozen=True, kw_only=True):
    """What a request asks for, whatever the operation: targets, address, parameters.

    `sources` are the words of dat:RegisterSource wanted, `self_reads` a dat:ReportSelfReadOption.
    """

    endpoints: tuple[EndpointId, ...] = ()
    group: str | None = None
    address: str | None = None
    read: ReadParameters | None = None
    sources: tuple[str, ...] = ()
    self_reads: str = "None"
    user_intervention: bool = False


class Sent(Struct, frozen=True, kw_only=True):
    """What one endpoint's data told, and how often they were sent: not at all, doubled, late.

    `energy` has the number of intervals and their sum in Wh, by quantity.
    """

    copies: int
    late: bool = False
    energy: Mapping[str, tuple[int, Decimal]] = {}


class Job(Struct, kw_only=True):
    """`failures` and `switches` fill when the endpoints are reached; `missing` are left out. `told`
    is the account of the data of each endpoint that answered a read.
    """

    token: RequestToken
    operation: str
    asked: JobRequest
    created_at: datetime
    acts_at: datetime
    state: RemoteState = RemoteState.INITIALIZING
    result: RemoteResult = RemoteResult.PENDING
    finished_at: datetime | None = None
    acted: bool = False
    succeeded: int = 0
    failures: dict[EndpointId, Failed] = {}
    switches: list[SwitchReading] = []
    voltage: bool | None = None
    data: list[dict[str, object]] = []
    told: dict[EndpointId, Sent] = {}
    late: list[tuple[float, list[dict[str, object]]]] = []
    """What is sent so many seconds after the end."""
    missing: set[EndpointId] = set()
    said: set[RemoteState] = set()
    forgets: bool = False
    never_finishes: bool = False
    pending_instead: bool = False
    reorders: bool = False
    failures_cut_to: int | None = None

    @property
    def finished(self) -> bool:
        return self.state is RemoteState.COMPLETED

    def fail(self, esn: EndpointId, reason: FailureReason, description: str) -> None:
        self.failures[esn] = Failed(reason=reason, description=description)


class Delivery(Struct, frozen=True, kw_only=True):
    """One message from the head end to an address of ours: a callback or data.

    Deliveries of one `lane` go one after the other; lanes do not wait for each other.
    """

    operation: str
    address: str
    body: dict[str, object]
    lane: str
    token: RequestToken | None = None
    state: str = ""
    endpoints: tuple[EndpointId, ...] = ()
