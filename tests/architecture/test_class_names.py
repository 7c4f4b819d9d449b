"""One class name means one thing in all of `adapter/`."""

import ast
from collections import defaultdict
from pathlib import Path

ADAPTER = Path(__file__).parents[2] / "adapter"


def classes(folder: Path) -> dict[str, list[str]]:
    """The modules that define a class, by its name; names of a module's own (`_Draft`) left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(folder)))
    return found


def test_a_class_name_has_one_meaning() -> None:
    assert {name: where for name, where in classes(ADAPTER).items() if len(where) > 1} == {}


def test_a_second_meaning_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Exchange: ...\nclass _Draft: ...\n")
    (tmp_path / "two.py").write_text("class Exchange: ...\nclass _Draft: ...\n")
    assert {k: v for k, v in classes(tmp_path).items() if len(v) > 1} == {
        "Exchange": ["one.py", "two.py"]
    }
