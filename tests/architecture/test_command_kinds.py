"""What the program asks of a command kind stands in `commands/flows.py`, and nowhere else.

A module may name a kind that it issues. It may not tell one kind from another by name: neither by a
comparison or a `match`, nor by a table of its own. Standard library only.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import MODULES, tree_of
from tests.support import for_every

FLOWS = "commands/flows.py"
MAY = (
    FLOWS,
    "demo/",  # names the commands that are shown
    "orders/activities.py",  # the business objects of orders: one is one command
    "orders/plan.py",  # what an assumed new meter supports
    "replay/",  # the catalogue names the commands that were recorded
)


def _kinds() -> dict[str, str]:
    """The members of CommandKind with their values."""
    (made,) = [
        x for x in tree_of(FLOWS).body if isinstance(x, ast.ClassDef) and x.name == "CommandKind"
    ]
    return {
        target.id: row.value.value
        for row in made.body
        if isinstance(row, ast.Assign) and isinstance(row.value, ast.Constant)
        for target in row.targets
        if isinstance(target, ast.Name) and isinstance(row.value.value, str)
    }


KINDS = _kinds()
VALUES = frozenset(KINDS.values())
SWITCHING = frozenset({"DISCONNECT_METER", "RECONNECT_METER"})
"""Operations that stand for a kind as well: a site's own may move a switch by another one."""


def _is_kind(node: ast.AST) -> bool:
    """A member, by whatever name its class goes here: `CommandKind.X`, `K.X`, `K.X.value`.

    `StepKind.LOAD_CHECK` is a step.
    """
    if isinstance(node, ast.Attribute) and node.attr == "value":
        return _is_kind(node.value)
    if isinstance(node, ast.Attribute) and node.attr in SWITCHING:
        return True
    if not isinstance(node, ast.Attribute) or node.attr not in KINDS:
        return False
    return not (isinstance(node.value, ast.Name) and node.value.id == "StepKind")


def _holds_kind(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in VALUES
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_holds_kind, node.elts))
    return _is_kind(node)


def told_apart(tree: ast.AST) -> Iterator[int]:
    """The lines in which a kind is told from others by name."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                # `X in capabilities` asks whether a meter can do what is to be issued.
                member = len(ops) == 1 and isinstance(ops[0], ast.In | ast.NotIn)
                sides = others if member and isinstance(others[0], ast.Name | ast.Attribute) else []
                if any(map(_holds_kind, sides or (left, *others))):
                    yield node.lineno
            case ast.MatchValue(value=value) if _holds_kind(value):
                yield value.lineno
            case ast.Set(elts=elts) if any(map(_is_kind, elts)):
                yield node.lineno
            case ast.Dict(keys=keys) if any(_is_kind(key) for key in keys if key is not None):
                yield node.lineno


@for_every("module", [each for each in MODULES if not each.startswith(MAY)])
def test_no_module_tells_a_kind_by_its_name(module: str) -> None:
    assert list(told_apart(tree_of(module))) == []


@pytest.mark.parametrize(
    "text",
    [
        "request.kind is CommandKind.REMOTE_CONNECT",
        "request.kind == K.LOAD_CHECK",
        "request.kind in (CommandKind.REMOTE_CONNECT, CommandKind.REMOTE_DISCONNECT)",
        "request.kind != 'remote_connect'",
        "kind.value == CommandKind.LOAD_CHECK.value",
        "communication.operation is not Operation.DISCONNECT_METER",
        "CommandKind.REMOTE_CONNECT in [request.kind]",
        "frozenset({CommandKind.REMOTE_CONNECT})",
        "{CommandKind.REMOTE_CONNECT: 1}.get(kind)",
        "match kind:\n    case CommandKind.REMOTE_CONNECT:\n        pass",
    ],
)
def test_the_check_finds(text: str) -> None:
    assert list(told_apart(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "CommandRequest(kind=CommandKind.REMOTE_CONNECT)",
        "CommandKind.REMOTE_CONNECT in capabilities",
        "CommandKind.REMOTE_CONNECT not in old.capabilities",
        "step is StepKind.LOAD_CHECK",
        "request.kind in SWITCH_KINDS",
    ],
)
def test_the_check_lets_pass(text: str) -> None:
    assert not list(told_apart(ast.parse(text)))
