"""How a taken request is worked off: the steps of a job, its callbacks, its data.

Initializing, Executing, then the endpoints are asked, in portions, then Completed. A script can
drop, double, delay or turn round what is sent on the way.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from adapter.commands.calls import RemoteResult, RemoteState
from adapter.model.ids import EndpointId, RequestToken
from adapter.model.values import replace
from adapter.simulator.bodies import status_body
from adapter.simulator.faults import Effect, FaultStage, Scripts
from adapter.simulator.flaws import Flaws
from adapter.simulator.jobs import Delivery, Job, Sent
from adapter.simulator.meters import Failed, Meter, Population, addressable
from adapter.simulator.operations import PUBLISHES, Asks, SimulatedWork, ask
from adapter.simulator.readings import Told, energy_told, read_data, read_data_of
from adapter.simulator.schedule import Schedule
from adapter.simulator.seeded import fraction, guid
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.subscriptions import SimulatedSubscriptions

DATA_ARRIVED: Final = "DataSubscriberService.DataArrived"
STATUS_CHANGED: Final = "RequestStatusChangedService.StatusChanged"

_CONGESTED: Final = timedelta(milliseconds=5)
"""How long a read pauses while the data of others, or its own, waits to be sent."""

_ORDERLY: Final = (RemoteState.INITIALIZING, RemoteState.EXECUTING, RemoteState.COMPLETED)


@dataclass(slots=True, kw_only=True)
class Worker:
    """Works off jobs step by step. Every step is put into `schedule`; none of them waits."""

    config: SimulatorConfig
    population: Population
    scripts: Scripts
    subscriptions: SimulatedSubscriptions
    schedule: Schedule
    jobs: dict[RequestToken, Job]
    open: set[RequestToken] = field(default_factory=set)
    """The requests that have not finished."""
    flaws: Flaws = field(init=False)
    congested: Callable[[], bool] = lambda: False
    """Whether so much data waits to be sent that no more should be made for a while."""

    def __post_init__(self) -> None:
        self.flaws = Flaws.of(self.config.population)

    def begin(self, work: SimulatedWork, job: Job, *, now: datetime) -> None:
        """Put the first steps of a new job into the schedule."""
        self.open.add(job.token)
        timing = self.config.timing
        stretch = 1.0
        if timing.jitter:
            stretch += timing.jitter * fraction(self.config.seed, "pace", job.token)
        read = job.asked.read
        starts = now
        if read is not None and read.window_start is not None and timing.honour_windows:
            starts = max(now, read.window_start)

        def after(seconds: float) -> datetime:
            return starts + timedelta(seconds=seconds * stretch)

        completed = after(timing.completed_s)
        self.schedule.put(
            now + timedelta(seconds=timing.initializing_s * stretch),
            lambda due: self.say(job, RemoteState.INITIALIZING, due),
        )
        self.schedule.put(after(timing.executing_s), lambda due: self._execute(job, due))
        if not job.never_finishes:
            self.schedule.put(
                after(timing.acting_s), lambda due: self._reach(work, job, 0, completed, due)
            )

    def cancel(self, job: Job, *, now: datetime) -> None:
        """Stop a job whose endpoints were not asked yet; later it has no effect (inferred)."""
        if job.acted or job.finished:
            return
        job.acted = True
        job.result = RemoteResult.CANCELED
        due = now + timedelta(seconds=self.config.timing.initializing_s)
        self.schedule.put(due, lambda at: self._finish(job, at))

    def refusal(self, operation: str, esn: EndpointId) -> Failed | None:
        """The failure that a script has for this endpoint."""
        hits = self.scripts.match((FaultStage.ENDPOINT,), operation=operation, meters=(esn,))
        script = hits.get(Effect.ENDPOINT_FAILURE)
        if script is None:
            return None
        return Failed(reason=script.reason, description=script.text)

    def say(self, job: Job, state: RemoteState, now: datetime) -> list[Delivery]:
        """The callback for `state`, once, as the scripts leave it."""
        over = job.finished and state is not RemoteState.COMPLETED
        if over or state in job.said or self.jobs.get(job.token) is not job:
            return []
        job.said.add(state)
        if job.asked.address is None:
            return []
        if not job.reorders:
            return self._as_scripted(job, state, status_body(job), now)
        if state is not RemoteState.COMPLETED:
            return []
        return [
            delivery
            for told in reversed(_ORDERLY)
            for delivery in self._as_scripted(job, told, self._as_it_was(job, told), now)
        ]

    def _as_it_was(self, job: Job, state: RemoteState) -> dict[str, object]:
        if state is RemoteState.COMPLETED:
            return status_body(job)
        return status_body(replace(job, state=state, result=RemoteResult.PENDING, finished_at=None))

    def _as_scripted(
        self, job: Job, state: RemoteState, status: dict[str, object], now: datetime
    ) -> list[Delivery]:
        hits = self.scripts.match(
            (FaultStage.CALLBACK,), operation=job.operation, meters=job.asked.endpoints, state=state
        )
        if Effect.DROP_CALLBACK in hits:
            return []
        if Effect.WRONG_CALLBACK_TOKEN in hits:
            status["RequestToken"] = {"Id": guid(self.config.seed, "stranger", job.token, state)}
        delivery = Delivery(
            operation=STATUS_CHANGED,
            address=job.asked.address or "",
            body={"input": {"RequestStatus": status}},
            lane=job.token,
            token=job.token,
            state=str(state),
        )
        if not hits:
            return [delivery]
        copies = [delivery]
        if (twice := hits.get(Effect.DUPLICATE_CALLBACK)) is not None:
            copies += [delivery] * (1 if twice.count is None else twice.count)
        if (late := hits.get(Effect.DELAY_CALLBACK)) is not None:
            self.schedule.put(now + timedelta(seconds=late.seconds or 0), lambda _: copies)
            return []
        return copies

    def _execute(self, job: Job, now: datetime) -> list[Delivery]:
        if job.finished:
            return []
        job.state = RemoteState.EXECUTING
        return self.say(job, RemoteState.EXECUTING, now)

    def _reach(
        self, work: SimulatedWork, job: Job, position: int, completed: datetime, now: datetime
    ) -> list[Delivery]:
        """Ask the next portion of endpoints; after the last one schedule the end."""
        if self.jobs.get(job.token) is not job or (position == 0 and job.acted):
            return []
        again = now + timedelta(seconds=self.config.timing.portion_s)
        if work.asks is Asks.READ and self.congested():
            later = max(again, now + _CONGESTED)
            self.schedule.put(later, lambda due: self._reach(work, job, position, completed, due))
            return []
        job.acted = True
        upto = position + self.config.limits.meters_per_message
        portion = job.asked.endpoints[position:upto]
        answered = [meter for esn in portion if (meter := self._ask(work, job, esn, now))]
        deliveries: list[Delivery] = []
        if work.asks is Asks.READ:
            deliveries = self._publish(work, job, answered, now)
        if upto < len(job.asked.endpoints):
            self.schedule.put(again, lambda due: self._reach(work, job, upto, completed, due))
        else:
            self.schedule.put(max(now, completed), lambda due: self._finish(job, due))
        return deliveries

    def _ask(self, work: SimulatedWork, job: Job, esn: EndpointId, now: datetime) -> Meter | None:
        """One endpoint: its failure goes into the job, its new state into the population."""
        hits = {}
        if self.scripts.has(FaultStage.ENDPOINT):
            hits = self.scripts.match(
                (FaultStage.ENDPOINT,), operation=job.operation, meters=(esn,)
            )
        if Effect.OMIT_DEVICE in hits:
            job.missing.add(esn)
        meter = self.population.find(esn)
        failed = addressable(meter, esn)
        if failed is None and (script := hits.get(Effect.ENDPOINT_FAILURE)) is not None:
            failed = Failed(reason=script.reason, description=script.text)
        if failed is not None:
            job.failures[esn] = failed
            return None
        assert meter is not None  # addressable() has a failure for it otherwise
        answered = ask(work, meter, job, now=now)
        if isinstance(answered, Failed):
            job.failures[esn] = answered
            return None
        if answered.meter is not meter:
            self.population.put(answered.meter)
        job.succeeded += 1
        return answered.meter

    def _finish(self, job: Job, now: datetime) -> list[Delivery]:
        job.state = RemoteState.COMPLETED
        job.finished_at = now
        if job.result is RemoteResult.PENDING:
            job.result = self._result(job)
        self.open.discard(job.token)
        late, job.late = job.late, []
        for seconds, blocks in late:
            due = now + timedelta(seconds=seconds)
            self.schedule.put(due, partial(self._data, job.token, blocks))
        return self.say(job, RemoteState.COMPLETED, now)

    def _result(self, job: Job) -> RemoteResult:
        if not job.failures:
            return RemoteResult.SUCCESS
        if not job.succeeded:
            return RemoteResult.FAILURE
        return RemoteResult(self.config.answers.mixed)

    def _publish(
        self, work: SimulatedWork, job: Job, answered: Iterable[Meter], now: datetime
    ) -> list[Delivery]:
        """The data of one portion: into the result of an interactive read, else to subscribers."""
        scripted = self.scripts.has(FaultStage.DATA)
        rows: list[dict[str, object]] = []
        again: list[dict[str, object]] = []
        deliveries: list[Delivery] = []
        for meter in answered:
            blocks = self._read(job, meter, now)
            hits = {}
            if scripted:
                hits = self.scripts.match(
                    (FaultStage.DATA,), operation=job.operation, meters=(meter.esn,)
                )
            drop = hits.get(Effect.DROP_DATA)
            if drop is not None and drop.count and len(blocks) > drop.count:
                blocks, drop = blocks[: -drop.count], None
            copies = 0
            if (twice := hits.get(Effect.DUPLICATE_DATA)) is not None:
                copies = 1 if twice.count is None else twice.count
                again += blocks * copies
            if (late := hits.get(Effect.LATE_DATA)) is not None:
                on_time = blocks[: -late.count] if late.count else []
                rows += on_time
                job.late.append((late.seconds or 0.0, blocks[len(on_time) :]))
            elif drop is None:
                rows += blocks
            if late is not None or drop is None:
                copies += 1
            job.told[meter.esn] = Sent(
                copies=copies, late=late is not None, energy=energy_told(blocks)
            )
            if Effect.UNASKED_DATA in hits:
                deliveries += self._data(job.token, self._unasked(job, meter, now))
        if work.operation not in PUBLISHES:
            job.data += rows
            return deliveries
        return deliveries + self._data(job.token, rows) + self._data(job.token, again)

    def _read(self, job: Job, meter: Meter, now: datetime) -> list[dict[str, object]]:
        return read_data(
            meter,
            job.asked,
            now=now,
            flaws=self.flaws,
            per_block=self.config.limits.intervals_per_block,
        )

    def _unasked(self, job: Job, meter: Meter, now: datetime) -> list[dict[str, object]]:
        """The data of the first meter that the job is not about."""
        asked = frozenset(job.asked.endpoints)
        for esn in self.population:
            other = self.population.find(esn) if esn not in asked else None
            if other is not None:
                return self._read(job, other, now)
        return []

    def tell(self, values: Sequence[Told], *, now: datetime) -> None:
        """One DataArrived with values that no request asked for, to every data subscriber."""
        rows = [read_data_of(value) for value in values]
        self.schedule.put(now, partial(self._data, None, rows))

    def _data(
        self, token: RequestToken | None, rows: list[dict[str, object]], _: datetime | None = None
    ) -> list[Delivery]:
        """One DataArrived to every data subscriber."""
        if not rows:
            return []
        endpoints = tuple(EndpointId(str(row["Identifier"])) for row in rows)
        return [
            Delivery(
                operation=DATA_ARRIVED,
                address=address,
                body={"input": {"ReadDataCollection": rows}},
                lane=f"{address} {token}",
                token=token,
                endpoints=endpoints,
            )
            for address in self.subscriptions.data_addresses()
        ]
