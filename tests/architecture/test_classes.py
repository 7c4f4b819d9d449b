"""No class is divided by inheritance to fit a cap: a base is shared, or used by itself."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TypeAlias

from tests.architecture.sources import MODULES, tree_of

Class: TypeAlias = tuple[str, str]
"""(module, name)"""


def dotted(module: str) -> str:
    return f"adapter/{module}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def pieces(trees: Mapping[str, ast.Module]) -> set[Class]:
    """Classes that are the base of one class and nothing else: a piece of it, cut off."""
    classes = {
        (module, node.name)
        for module, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    bases: Counter[Class | None] = Counter()
    uses: Counter[Class] = Counter()
    for module, tree in trees.items():
        nodes = list(_owned(tree))
        names = _names(module, (node for _, node in nodes), classes)
        for owner, node in nodes:
            if isinstance(node, ast.ClassDef):
                bases.update(names.get(_text(base)) for base in node.bases)
            elif isinstance(node, ast.Name | ast.Attribute | ast.Constant):
                named = names.get(_text(node))
                if named is not None and named != (module, owner):
                    uses[named] += 1
    return {each for each in classes if bases[each] == 1 and uses[each] == 1}


def _owned(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the class it is part of: what a class says of itself is no use of it."""
    for top in tree.body:
        owner = top.name if isinstance(top, ast.ClassDef) else ""
        for node in ast.walk(top):
            yield owner, node


def _names(module: str, nodes: Iterable[ast.AST], classes: Set[Class]) -> dict[str, Class]:
    """By which words a module names classes of ours: `Name`, or `module.Name`."""
    found = {name: (where, name) for where, name in classes if where == module}
    modules = {where for where, _ in classes}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                word, whole = alias.asname or alias.name, f"{node.module}.{alias.name}"
                found[word] = (node.module, alias.name)
                if whole in modules:
                    found |= {f"{word}.{name}": (at, name) for at, name in classes if at == whole}
    return {word: each for word, each in found.items() if each in classes}


def _text(node: ast.expr) -> str:
    match node:
        case ast.Subscript(value=value):
            return _text(value)
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return f"{module}.{name}"
    return ""


def test_a_class_is_not_divided_by_inheritance() -> None:
    """Divide it by duty instead, and hand the part in."""
    assert pieces({dotted(module): tree_of(module) for module in MODULES}) == set()


PART = ast.parse("class Part:\n    def one(self) -> 'Part':\n        return self\n")
WHOLE = "from adapter.part import Part\n\nclass Whole(Part):\n    pass\n"


def test_a_piece_is_found_and_what_is_shared_or_used_by_itself_is_none() -> None:
    modules = {"adapter.part": PART, "adapter.whole": ast.parse(WHOLE)}
    assert pieces(modules) == {("adapter.part", "Part")}
    elsewhere = ast.parse("from adapter import part\n\ndef of(it: part.Part) -> None: ...\n")
    assert pieces({**modules, "adapter.use": elsewhere}) == set()
    other = ast.parse(WHOLE.replace("Whole", "Other"))
    assert pieces({**modules, "adapter.other": other}) == set()
    namesake = ast.parse("class Part: ...\n\nmade = Part()\n")
    assert pieces({**modules, "adapter.namesake": namesake}) == {("adapter.part", "Part")}
