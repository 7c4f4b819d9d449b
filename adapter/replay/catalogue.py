"""THE SCENARIOS of `fixtures/`, one row each; `openway record` makes the files from them.

Every command has success, business failure, technical failure, time-out, late and duplicate
callback; the two provisioning commands, which have no callbacks, have a lost reply and a
repetition in their place. After those come the hard ones.
"""

from collections.abc import Iterable
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.flows import FLOWS, INTERVAL_KINDS, READ_KINDS, CommandKind, Scope
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from adapter.replay.catalogue_hard import HARD
from adapter.replay.catalogue_rows import SYNCHRONOUS, ScenarioRow, Table, provisioning_of, six
from adapter.replay.devices import rows_of
from adapter.replay.recorder import changed
from adapter.replay.scenario import AT_HEAD_END, START, Act, Do, Scenario
from adapter.simulator.meters import Population, PopulationPlan
from adapter.simulator.registry import registry_of

_ESN: Final = "2.16.840.1.114416.15.243."
_FIRST: Final = 700_001
_GROUP: Final = "Substation 1"

K = CommandKind


def scenarios(*patterns: str) -> tuple[Scenario, ...]:
    """All scenarios, or those whose name matches one of the patterns, as `remote_*/success`."""
    made = (scenario(row) for row in _rows())
    return tuple(
        each for each in made if not patterns or any(fnmatchcase(each.name, p) for p in patterns)
    )


def scenario(row: ScenarioRow) -> Scenario:
    """A row in full."""
    population: dict[str, object] = {
        "count": row.meters,
        "group_size": max(row.meters, 1),
        "generating_share": 0.0,
    }
    states = {**_usual_states(row.kind), **row.states}
    meters = [{"esn": f"{_ESN}{_FIRST + number}", **state} for number, state in states.items()]
    simulator: dict[str, object] = {"population": population, **row.head_end}
    if meters:
        simulator["meters"] = meters
    if row.script:
        simulator["script"] = list(row.script)
    return Scenario(
        name=f"{row.kind}/{row.name}",
        shows=row.shows,
        acts=_acts(row),
        devices=_devices(row, meters),
        policy=row.policy,
        switch=row.switch,
        simulator=simulator,
    )


def _acts(row: ScenarioRow) -> tuple[Act, ...]:
    """In order of time; of one moment first what happens at the head end."""
    acts = (Act(do=Do.SUBMIT, request=_request(row)), *row.acts)
    return tuple(sorted(acts, key=lambda act: (act.at, act.do not in AT_HEAD_END)))


def _usual_states(kind: CommandKind) -> dict[int, Table]:
    match kind:
        case K.DEVICE_COMMISSIONING:
            return {0: {"commissioned": False, "registered": False}}
        case K.REMOTE_CONNECT:
            return {0: {"switch": "Disconnected"}}
        case _:
            return {}


def _devices(row: ScenarioRow, meters: Iterable[Table]) -> tuple[Table, ...]:
    population = Population(
        plan=PopulationPlan(count=row.meters, group_size=max(row.meters, 1), generating_share=0.0)
    )
    usual = _usual_states(row.kind)
    for number, state in usual.items():
        changed(population, {"esn": f"{_ESN}{_FIRST + number}", **state})
    rows = rows_of(registry_of(population, [EndpointId(esn) for esn in population]))
    return tuple({**each, **row.registry.get(number, {})} for number, each in enumerate(rows))


def _request(row: ScenarioRow) -> CommandRequest:
    scope = FLOWS[row.kind].scope
    many = row.meters if scope is Scope.METERS else 1
    usual: dict[str, object] = {"kind": row.kind, "requester": "billing"}
    if scope is Scope.GROUP:
        usual["group"] = _GROUP
    else:
        usual["devices"] = tuple(DeviceId(f"M{_FIRST + number}") for number in range(many))
    if row.kind in READ_KINDS:
        length = timedelta(hours=1 if row.kind in INTERVAL_KINDS else 2)
        usual["period"] = ReadPeriod(start=START - length, end=START)
    given = {**usual, **row.ask}
    return replace(CommandRequest(kind=row.kind), **given)  # type: ignore[arg-type]  # named in rows


def _rows() -> tuple[ScenarioRow, ...]:
    common = [row for kind in K if kind not in SYNCHRONOUS for row in six(kind)]
    provisioning = [row for kind in SYNCHRONOUS for row in provisioning_of(kind)]
    return (*provisioning, *common, *HARD)
