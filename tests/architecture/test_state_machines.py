"""Every state machine has the one shape, and a state is set only where its machine judges it."""

import ast
from collections.abc import Iterator
from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from adapter.cli.tables import MACHINES, state_machine
from adapter.errors import IllegalTransition
from adapter.model.state_machine import StateMachine, diagram
from tests.architecture.sources import MODULES, tree_of

Machine = StateMachine[StrEnum, Any]
ALL: dict[str, Machine] = {name: state_machine(name) for name in MACHINES}
each_machine = pytest.mark.parametrize("machine", ALL.values(), ids=ALL)

SETTERS = {
    ("commands/transitions.py", "to"): "command",
    ("commands/communication.py", "step"): "communication",
    ("commands/completion.py", "step_completion"): "completion",
    ("orders/lifecycle.py", "step"): "order",
    ("orders/maintenance.py", "step_maintenance"): "request",
    ("orders/field_activity.py", "step_field"): "visit",
    ("orders/waits.py", "step_wait"): "wait",
    ("orders/replies.py", "step_reply"): "reply",
    ("schedules/schedule.py", "_moved"): "schedule",
}
"""The functions that set the state of a thing, and the machine that they ask."""

WHAT_IF = {("orders/plan.py", "make_plan")}
"""Orders that only might be."""

ELSEWHERE = "simulator"
"""What goes on at the head end has no machine of ours."""

WRITING = {"replace", "set", "Activity", "Communication", "CompletionEvent"}
"""What would give a state, if it were given one: a copy, a command's `set`, a record as made."""


def _events(machine: Machine) -> set[type[Any]]:
    return {event for _, event in machine.arrows}


def test_every_state_machine_of_the_package_can_be_printed() -> None:
    made = {
        f"adapter.{module.removesuffix('.py').replace('/', '.')}"
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and _name(node.func) == "StateMachine"
    }
    assert made == {place.partition(":")[0] for place in MACHINES.values()}


@each_machine
def test_every_event_in_every_state_follows_an_arrow_or_is_refused(machine: Machine) -> None:
    for state, event, after in product(machine.states, _events(machine), machine.states):
        if after in machine.arrows.get((state, event), ()):
            machine.check(state, event, after, of="it")
        else:
            with pytest.raises(IllegalTransition, match=rf"^it: {event.__name__} .*{state}"):
                machine.check(state, event, after, of="it")


@each_machine
def test_where_one_state_follows_it_is_that_of_the_arrow(machine: Machine) -> None:
    for state, event in product(machine.states, _events(machine)):
        targets = machine.targets(state, event)
        if not targets:
            with pytest.raises(IllegalTransition, match=f"no {event.__name__} in"):
                machine.follow(state, event, of="it")
        elif len(targets) == 1:
            assert {machine.follow(state, event, of="it")} == targets
        else:
            with pytest.raises(ValueError, match="unpack"):
                machine.follow(state, event, of="it")


@each_machine
def test_an_arrow_leads_somewhere(machine: Machine) -> None:
    assert all(machine.arrows.values())


@each_machine
def test_no_arrow_leads_out_of_a_final_state(machine: Machine) -> None:
    assert machine.final
    for (state, _), targets in machine.arrows.items():
        assert state not in machine.final or targets == {state}


@each_machine
def test_every_state_can_be_reached_from_the_first(machine: Machine) -> None:
    assert _reached(machine, machine.start) == set(machine.states)


@each_machine
def test_an_end_can_be_reached_from_every_state(machine: Machine) -> None:
    for state in machine.states:
        assert _reached(machine, state) & machine.final


def _reached(machine: Machine, start: StrEnum) -> set[StrEnum]:
    reached: set[StrEnum] = set()
    front = {start}
    while front:
        reached |= front
        arrows = machine.arrows.items()
        front = {to for (state, _), targets in arrows if state in front for to in targets} - reached
    return reached


@each_machine
def test_the_next_states_are_what_its_events_lead_to(machine: Machine) -> None:
    for state in machine.states:
        found = {to for event in _events(machine) for to in machine.targets(state, event)}
        assert machine.next_states(state) == found - {state}


@each_machine
def test_an_event_is_taken_where_it_leads_somewhere_and_is_refused_elsewhere(
    machine: Machine,
) -> None:
    for state, event in product(machine.states, _events(machine)):
        if state in machine.takes(event):
            assert machine.expect(state, event, of="it") == machine.targets(state, event)
        else:
            with pytest.raises(IllegalTransition, match=f"^it: no {event.__name__} in {state}"):
                machine.expect(state, event, of="it")


@each_machine
def test_a_machine_is_not_changed(machine: Machine) -> None:
    with pytest.raises(TypeError):
        machine.arrows[machine.start, object] = machine.final  # type: ignore[index]


@each_machine
def test_the_diagram_has_every_state_and_every_arrow(machine: Machine) -> None:
    lines = diagram(machine).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert f"    [*] --> {machine.start.name}" in lines
    for state in machine.states:
        assert f'    state "{state.value}" as {state.name}' in lines
        assert (f"    {state.name} --> [*]" in lines) == (state in machine.final)
    for (before, event), targets in machine.arrows.items():
        quiet = before in machine.final or machine.unmoved(event)
        for after in () if quiet else targets:
            arrow = f"    {before.name} --> {after.name}: "
            (drawn,) = (each.removeprefix(arrow) for each in lines if each.startswith(arrow))
            assert event.__name__ in drawn.split(", ")


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _setting(node: ast.AST, function: str = "") -> Iterator[str]:
    """The functions that write a `state`.

    What an order knows of a child, its `fact`, is on a scale of its own and has no machine.
    """
    for child in ast.iter_child_nodes(node):
        inner = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = child.name
        if isinstance(child, ast.Call) and _name(child.func) in WRITING:
            values = [each.value for each in child.keywords if each.arg == "state"]
            known = {_name(each) for value in values for each in ast.walk(value)}
            fact = any(_name(each) == "fact" for each in child.args[:1])
            if values and not fact and "ChildState" not in known:
                yield inner
        yield from _setting(child, inner)


def test_a_state_is_set_where_its_machine_is_asked_and_nowhere_else() -> None:
    found = {
        (module, function)
        for module in MODULES
        if module.partition("/")[0] != ELSEWHERE
        for function in _setting(tree_of(module))
    }
    assert found == SETTERS.keys() | WHAT_IF


@pytest.mark.parametrize(("place", "name"), SETTERS.items(), ids=lambda each: str(each))
def test_what_sets_a_state_asks_its_machine(place: tuple[str, str], name: str) -> None:
    module, function = place
    home, _, machine = MACHINES[name].partition(":")
    assert home == f"adapter.{module.removesuffix('.py').replace('/', '.')}"
    functions = {
        node.name: {_name(each) for each in ast.walk(node) if isinstance(each, ast.Name)}
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef)
    }
    called = functions[function] & functions.keys()
    assert machine in functions[function].union(*(functions[each] for each in called))
