"""Who may import whom, how long a module may be, what none is called. Standard library only."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.sources import MODULES, text_of, tree_of
from tests.support import for_every

ROOT = Path(__file__).parents[2]

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS = next(each["layers"] for each in CONTRACTS if each["name"].startswith("floors import"))
FLOORS = tuple(
    tuple(part.strip().removeprefix("adapter.") for part in layer.split("|"))
    for layer in reversed(LAYERS)
)
"""The floors, lowest first. They are written in `pyproject.toml` and nowhere else."""
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}

PURE = tuple(
    name.removeprefix("adapter.")
    for each in CONTRACTS
    if each["name"].startswith("the pure floors")
    for name in each["source_modules"]
)
PURE_MAY = frozenset(
    {
        "__future__", "abc", "bisect", "collections", "contextlib", "copy", "dataclasses",
        "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq",
        "hmac", "itertools",
        "json", "math", "operator", "re", "string", "types", "typing", "unicodedata", "uuid",
        "zoneinfo",
    }
)  # fmt: skip
"""Values and types; nothing that reads, writes, waits or looks at a clock."""
STRUCT = ("msgspec", "Struct")
"""A frozen value that is made and copied in C. To read and write values is for others."""

LONGEST = 600
TABLES = frozenset(
    {
        "commands/failures.py",
        "commands/flows.py",
        "orders/matrix.py",
        "replay/catalogue_rows.py",
    }
)

FORBIDDEN_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "common", "misc"})
FORBIDDEN_NAMES |= {"base"}


@cache
def imports_of(module: str) -> tuple[tuple[str, ...], ...]:
    return tuple(_imports_of(module))


def _imports_of(module: str) -> Iterator[tuple[str, ...]]:
    """What a module imports, as dotted names taken apart; imports for types alone are left out."""
    for node in _at_run_time(tree_of(module)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield tuple(name.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            start = tuple((node.module or "").split("."))
            for name in node.names:
                yield (*start, name.name)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING`."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def part_of(module: str) -> str:
    return module.partition("/")[0].removesuffix(".py")


def parts_imported(module: str) -> set[str]:
    """The parts of this package that a module imports, its own one left out."""
    found = {name[1] for name in imports_of(module) if name[0] == "adapter" and len(name) > 1}
    return found & FLOOR_OF.keys() - {part_of(module)}


def packages_imported(module: str) -> set[str]:
    return {name[0] for name in imports_of(module)} - {"adapter"}


def test_every_part_of_the_package_has_a_floor() -> None:
    assert {part_of(module) for module in MODULES} - FLOOR_OF.keys() == {"__init__"}


@for_every("module", [each for each in MODULES if each != "__init__.py"])
def test_a_module_imports_only_from_floors_below(module: str) -> None:
    own = FLOOR_OF[part_of(module)]
    wrong = {part for part in parts_imported(module) if FLOOR_OF[part] >= own}
    assert not wrong


def test_the_package_itself_imports_nothing() -> None:
    assert imports_of("__init__.py") == ()


@for_every("module", [each for each in MODULES if part_of(each) in PURE])
def test_a_pure_module_imports_values_and_types_only(module: str) -> None:
    others = {name[0] for name in imports_of(module) if name != STRUCT}
    assert others - {"adapter"} <= PURE_MAY


def test_what_a_pure_module_may_import_is_in_the_standard_library() -> None:
    assert sys.stdlib_module_names >= PURE_MAY


@for_every("module", MODULES)
def test_the_xml_libraries_are_imported_in_wire_only(module: str) -> None:
    if part_of(module) != "wire":
        assert not packages_imported(module) & {"zeep", "lxml", "xmlschema"}


@for_every("module", MODULES)
def test_aiohttp_is_imported_at_the_edges_only(module: str) -> None:
    edges = ("client", "fieldwork", "headend", "server", "simulator", "web", "webhooks")
    if part_of(module) not in edges:
        assert "aiohttp" not in packages_imported(module)


@for_every("module", MODULES)
def test_a_module_is_not_too_long(module: str) -> None:
    if module not in TABLES:
        lines = text_of(module).count("\n")
        assert lines <= LONGEST


@for_every("module", MODULES)
def test_no_module_has_a_name_that_says_nothing(module: str) -> None:
    assert not set(module.removesuffix(".py").split("/")) & FORBIDDEN_NAMES


def test_every_package_says_what_it_is() -> None:
    silent = [
        module
        for module in MODULES
        if ast.get_docstring(tree_of(module)) is None and module != "__init__.py"
    ]
    assert silent == []


SUBJECTS = {
    "commands", "orders", "readings", "events", "schedules", "subscriptions", "registry", "upkeep",
    "feed",
}  # fmt: skip
"""What a folder or a file on any floor is about."""

FOLDERS: dict[str, set[str]] = {
    "orders": {"algorithms"},
    "wire": {"tools"},
    "web": {"api", "console", "listener"},
    "engine": SUBJECTS,
    "store": SUBJECTS | {"postgresql"},
}
"""The folders of folders; what is not named has none."""

# fmt: off
BESIDE: dict[str, set[str]] = {
    "engine": {"clock", "crash_points", "gateway", "inbox", "listing", "loops",
        "private_files", "runner", "sortable_ids", "tracing", "watchers"},
    "store": {
        "chain", "compression", "connection", "database", "files", "memory", "migrate", "rows",
        "skeletons",
        "threads", "transaction",
    },
    "web": set(),
    "web/api": {"bulk", "call", "callback_checks", "completeness", "event_types", "examples",
        "head_end", "incoming", "keys", "measured", "openapi", "parameters", "problems",
        "quarantine", "reference", "rest", "routes", "schemas", "settings", "switch_safety", "todo",
        "visits", "waiting_places", "words"},
    "cli": {"city_day", "client", "config", "doctor", "documents", "intake", "numbers", "output",
        "quarantine", "replay", "run", "session", "store", "support", "tables", "times", "wire",
        "words"},
}
# fmt: on
"""The files of a folder that is ordered by subject which belong to no subject, or to all."""


def _folder_and_name(module: str) -> tuple[str, str]:
    folder, _, file = module.rpartition("/")
    return folder, file.removesuffix(".py")


@for_every("module", [each for each in MODULES if "/" in each])
def test_a_folder_stands_in_the_grid(module: str) -> None:
    above, *rest = _folder_and_name(module)[0].split("/")
    assert len(rest) <= 1
    assert set(rest) <= FOLDERS.get(above, set())


@for_every("module", [each for each in MODULES if _folder_and_name(each)[0] in BESIDE])
def test_a_file_of_a_folder_that_is_ordered_by_subject_bears_its_subject(module: str) -> None:
    folder, name = _folder_and_name(module)
    if name in BESIDE[folder] | {"__init__"}:
        return
    if folder in ("cli", "store"):
        name = name.partition("_")[0]
    assert folder not in ("engine", "web")
    assert name in SUBJECTS | BESIDE[folder]
