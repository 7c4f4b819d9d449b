"""One class name means one thing in all of `adapter/`."""

import ast
from collections import defaultdict
from collections.abc import Mapping

from tests.architecture.sources import MODULES, tree_of


def classes(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """The modules that define a class, by its name; names of a module's own (`_Draft`) left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return found


def test_a_class_name_has_one_meaning() -> None:
    found = classes({module: tree_of(module) for module in MODULES})
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_a_second_meaning_is_found() -> None:
    tree = ast.parse("class Exchange: ...\nclass _Draft: ...\n")
    assert classes({"one.py": tree, "two.py": tree}) == {"Exchange": ["one.py", "two.py"]}
