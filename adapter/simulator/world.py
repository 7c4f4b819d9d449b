"""The simulated head end without its sockets: messages in, answers and deliveries out.

Nothing here sleeps, reads a clock or draws a random number: time is handed in, and what varies is
a function of the seed and the order of the requests. Two worlds of one configuration that get the
same messages at the same times say the same, byte for byte.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from adapter.commands.calls import FailureReason, RemoteResult, RemoteState
from adapter.model.ids import EndpointId, RequestToken
from adapter.model.values import replace
from adapter.simulator import provisioning, subscriptions
from adapter.simulator.bodies import (
    Body,
    failure_row,
    part,
    status_body,
    text,
    token_body,
    token_of,
)
from adapter.simulator.faults import Effect, FaultStage, Script, Scripts
from adapter.simulator.jobs import Delivery, FaultRaised, Job, JobRequest
from adapter.simulator.meters import Failed, Population, addressable
from adapter.simulator.operations import (
    RESULTS,
    TOKEN_CALLS,
    WORK,
    SimulatedWork,
    Targets,
    named_endpoints,
    read_request,
)
from adapter.simulator.outages import Outages
from adapter.simulator.provisioning import Provisioning
from adapter.simulator.reported import Reported
from adapter.simulator.schedule import Schedule
from adapter.simulator.seeded import guid
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.subscriptions import (
    SimulatedSubscriptionKind,
    SimulatedSubscriptions,
    Subscription,
)
from adapter.simulator.work import Worker

Hits = Mapping[Effect, Script]


class Arrival(Struct, frozen=True, kw_only=True):
    """A request that was understood: what it is about, and the scripts that hit it."""

    operation: str
    body: Body
    endpoints: tuple[EndpointId, ...]
    hits: Hits


class SimulatedReply(Struct, frozen=True, kw_only=True):
    """The body of an answer in the contract's names. `token` is set where one was given."""

    body: dict[str, object]
    token: RequestToken | None = None


class SimulatedWorld:
    """All state of the simulator. `config` gives what it starts from and returns to."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.population = Population(plan=config.population)
        self.scripts = Scripts(seed=config.seed)
        self.subscriptions = SimulatedSubscriptions(config.limits.subscribers)
        self.jobs: dict[RequestToken, Job] = {}
        self.schedule = Schedule()
        self.worker = Worker(
            config=config,
            population=self.population,
            scripts=self.scripts,
            subscriptions=self.subscriptions,
            schedule=self.schedule,
            jobs=self.jobs,
        )
        self.provisioning = Provisioning(
            config=config,
            population=self.population,
            schedule=self.schedule,
            worker=self.worker,
        )
        self.outages = Outages(
            config=config,
            population=self.population,
            subscriptions=self.subscriptions,
            schedule=self.schedule,
        )
        self.reported = Reported(
            population=self.population, subscriptions=self.subscriptions, schedule=self.schedule
        )
        self.requests_taken = 0
        self._settle_in()

    def reset(self) -> None:
        """Back to the start: meters, groups, scripts, subscriptions, jobs, token sequence."""
        self.population.reset()
        self.scripts.clear()
        self.subscriptions.clear()
        self.jobs.clear()
        self.worker.open.clear()
        self.schedule.clear()
        self.requests_taken = 0
        self._settle_in()

    def _settle_in(self) -> None:
        for name, members in self.config.groups.items():
            self.population.set_group(name, [EndpointId(esn) for esn in members])
        for script in self.config.scripts:
            self.scripts.add(script)
        self.subscribe_configured()

    def subscribe_configured(self) -> None:
        """Put the subscriptions of `config` in force, as if they had been made over SOAP."""
        for kind, given in (
            (SimulatedSubscriptionKind.DATA, self.config.data_subscribers),
            (SimulatedSubscriptionKind.EXCEPTIONS, self.config.exception_subscribers),
        ):
            for system, address in given.items():
                self.subscriptions.put(Subscription(system=system, kind=kind, addresses=(address,)))

    def arrive(self, operation: str, body: Body) -> Arrival:
        """Note a request and find the scripts it meets. Nothing acts yet."""
        endpoints = named_endpoints(operation, body)
        if operation in TOKEN_CALLS:
            token = RequestToken(text(part(body, "input"), "Id").lower())
            job = self.jobs.get(token)
            endpoints = job.asked.endpoints if job is not None else ()
        if not self.scripts:
            return Arrival(operation=operation, body=body, endpoints=endpoints, hits={})
        stages = [FaultStage.BEFORE, FaultStage.AFTER]
        stages += [FaultStage.TOKEN, FaultStage.JOB] if operation in WORK else []
        stages += [FaultStage.JOB] if operation in RESULTS else []
        hits = self.scripts.match(
            stages,
            operation=operation,
            meters=endpoints,
            by_name=FaultStage.JOB if operation in RESULTS else None,
        )
        return Arrival(operation=operation, body=body, endpoints=endpoints, hits=hits)

    def act(self, arrival: Arrival, *, now: datetime) -> SimulatedReply:
        """Do what a request asks. Raises FaultRaised for what is answered with a named fault."""
        operation, body = arrival.operation, arrival.body
        if (work := WORK.get(operation)) is not None:
            return self._take(work, arrival, now)
        if (work := RESULTS.get(operation)) is not None:
            return self._result(work, arrival, now)
        if (handler := subscriptions.HANDLERS.get(operation)) is not None:
            return SimulatedReply(body=handler(self.subscriptions, body))
        match operation:
            case "RequestService.GetRequestStatus":
                job = self._job(token_of(body), now)
                return SimulatedReply(
                    body={"GetRequestStatusResult": status_body(job)}, token=job.token
                )
            case "RequestService.CancelRequest":
                job = self._job(token_of(body), now)
                self.worker.cancel(job, now=now)
                return SimulatedReply(body={}, token=job.token)
            case provisioning.ADD_METERS:
                return SimulatedReply(body=self.provisioning.add(body, now=now))
            case provisioning.DEREGISTER:
                return SimulatedReply(body=self.provisioning.deregister(body))
            case _:
                raise FaultRaised("OperationNotSupportedFault", f"{operation} is not simulated.")

    def first_callback(self, token: RequestToken, *, now: datetime) -> list[Delivery]:
        """The callback with State Initializing at once, before the reply has left."""
        job = self.jobs.get(token)
        return [] if job is None else self.worker.say(job, RemoteState.INITIALIZING, now)

    def stranger(self) -> RequestToken:
        """A token that no request has."""
        return RequestToken(guid(self.config.seed, "stranger", self.requests_taken))

    def previous_token(self, token: RequestToken | None) -> RequestToken:
        """The token given before `token`, or one nobody knows where there is none."""
        before = self.requests_taken - 1
        if token is None or before < 1:
            return self.stranger()
        return RequestToken(guid(self.config.seed, "token", before))

    def forget_tokens(self) -> int:
        """What a restart of the head end may do: no request is known, none is worked off."""
        forgotten = len(self.jobs)
        self.jobs.clear()
        self.worker.open.clear()
        return forgotten

    @property
    def open_requests(self) -> int:
        return len(self.worker.open)

    def _drop_old(self, now: datetime) -> None:
        """Forget finished requests past their lifetime, and the oldest past the number kept."""
        while self.jobs:
            oldest = next(iter(self.jobs.values()))
            full = len(self.jobs) >= self.config.limits.requests_kept
            if not (self._expired(oldest, now) or (full and oldest.finished)):
                return
            del self.jobs[oldest.token]

    def _expired(self, job: Job, now: datetime) -> bool:
        if job.finished_at is None:
            return False
        lifetime = timedelta(seconds=self.config.timing.token_lifetime_s)
        return job.finished_at + lifetime <= now

    def _take(self, work: SimulatedWork, arrival: Arrival, now: datetime) -> SimulatedReply:
        self._drop_old(now)
        most = self.config.limits.concurrent_requests
        if most and len(self.worker.open) >= most:
            raise FaultRaised("TooManyConcurrentRequestsFault", "Too many requests are open.")
        asked = self._resolve(work, read_request(work, arrival.body))
        self._check_targets(work, asked)
        self.requests_taken += 1
        token = RequestToken(guid(self.config.seed, "token", self.requests_taken))
        job = Job(
            token=token,
            operation=work.operation,
            asked=asked,
            created_at=now,
            acts_at=now,
            forgets=Effect.FORGET_TOKEN in arrival.hits,
            never_finishes=Effect.NEVER_FINISH in arrival.hits,
            pending_instead=Effect.PENDING_RESULT in arrival.hits,
            reorders=Effect.REORDER_CALLBACKS in arrival.hits,
            failures_cut_to=_cut(arrival.hits),
        )
        self.jobs[token] = job
        self.worker.begin(work, job, now=now)
        name = work.operation.rpartition(".")[2]
        return SimulatedReply(body={f"{name}Result": token_body(token)}, token=token)

    def _resolve(self, work: SimulatedWork, asked: JobRequest) -> JobRequest:
        if work.targets is not Targets.GROUP or asked.group is None:
            return asked
        members = self.population.members(asked.group)
        if members is None:
            raise FaultRaised("GroupNotFoundFault", "No such group.", GroupName=asked.group)
        return replace(asked, endpoints=members)

    def _check_targets(self, work: SimulatedWork, asked: JobRequest) -> None:
        """One bad endpoint among many is a failure in the result; only if all are bad, a fault."""
        most = self.config.limits.endpoints_per_request
        if most and len(asked.endpoints) > most and work.targets is not Targets.GROUP:
            raise FaultRaised(
                "ArgumentFault",
                f"At most {most} endpoints are taken.",
                ParameterName="ElectronicSerialNumbers",
            )
        bad: dict[EndpointId, Failed] = {}
        for esn in asked.endpoints:
            failed = addressable(self.population.find(esn), esn)
            if failed is None:
                return
            bad[esn] = failed
        if work.targets in (Targets.METER, Targets.ENDPOINT):
            raise _single_fault(work, asked.endpoints[0], bad[asked.endpoints[0]])
        rows = [failure_row(esn, failed, dia=False) for esn, failed in bad.items()]
        raise FaultRaised("NoValidTargetsFoundFault", "No valid targets.", InvalidEndpoints=rows)

    def _job(self, token: RequestToken, now: datetime) -> Job:
        job = self.jobs.get(token)
        if job is None or job.forgets or self._expired(job, now):
            raise FaultRaised("RequestNotFoundFault", "The request is not known.", Id=token)
        return job

    def _result(self, work: SimulatedWork, arrival: Arrival, now: datetime) -> SimulatedReply:
        token = token_of(arrival.body)
        if Effect.FORGET_TOKEN in arrival.hits:
            raise FaultRaised("RequestNotFoundFault", "The request is not known.", Id=token)
        job = self._job(token, now)
        if job.operation != work.operation:
            raise FaultRaised("RequestNotFoundFault", "This is another operation's.", Id=token)
        name = work.result.rpartition(".")[2]
        pending = self.config.answers.unfinished == "pending" or job.pending_instead
        if Effect.PENDING_RESULT in arrival.hits or (not job.finished and pending):
            shown = replace(
                job, result=RemoteResult.PENDING, failures={}, switches=[], data=[], voltage=None
            )
            return SimulatedReply(body={f"{name}Result": work.shape(shown, None)}, token=token)
        if not job.finished:
            raise FaultRaised("RequestNotFinishedFault", "Request not finished.", Id=token)
        cut = _cut(arrival.hits)
        shown = job if cut is None else replace(job, failures_cut_to=cut)
        most = self.config.limits.failures_per_result or None
        return SimulatedReply(body={f"{name}Result": work.shape(shown, most)}, token=token)


def _single_fault(work: SimulatedWork, esn: EndpointId, failed: Failed) -> FaultRaised:
    """The fault of an operation on one meter, which says by its name what is wrong with it."""
    what = "Meter" if work.targets is Targets.METER else "Endpoint"
    known = failed.reason is FailureReason.TARGET_NOT_REGISTERED
    state = "NotRegistered" if known else "NotFound"
    field = "ElectronicSerialNumber" if what == "Meter" else "Identifier"
    return FaultRaised(f"{what}{state}Fault", failed.description, **{field: esn})


def _cut(hits: Hits) -> int | None:
    script = hits.get(Effect.TRUNCATE_FAILURES)
    return None if script is None else script.count
