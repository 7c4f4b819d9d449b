"""The test files that a change can touch, one a line: what `make test-changed` runs.

python -m tests.changed [BASE]    what differs from where this branch left BASE (main), or is new

A test is touched when a changed module is imported on any way from it, or when the test starts it
as a process. What no import leads to is looked for by name: a file that a test mentions touches it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).parents[1]
ALWAYS: Final = "tests/architecture"
EVERYTHING: Final = ("pyproject.toml", "constraints.txt", "tests/conftest.py", "tests/changed.py")
"""Files after whose change all tests are run."""


def git(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_files(base: str) -> set[str]:
    """By their paths from the root; the old path of what was moved too."""
    start = (git("merge-base", base, "HEAD") or ["HEAD"])[0]
    differing = git("diff", "--name-only", "--no-renames", start)
    return {*differing, *git("ls-files", "--others", "--exclude-standard")}


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def files_of_tests() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


def graph_of_imports() -> grimp.ImportGraph:
    """Of product, bench and tests, with the modules that tests and bench start as processes."""
    graph = grimp.build_graph("adapter", "bench", "tests", cache_dir=None)
    for module in sorted(graph.modules):
        if module.startswith(("tests.", "bench.")):
            for started in _started(file_of(module), graph.modules):
                graph.add_import(importer=module, imported=started)
    return graph


def _started(file: Path, modules: set[str]) -> Iterator[str]:
    """The modules whose names stand in a file as strings, as `python -m` takes them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value == "adapter":
                yield "adapter.__main__"
            elif "." in node.value and node.value in modules:
                yield node.value


def file_of(module: str) -> Path:
    file = ROOT / (module.replace(".", "/") + ".py")
    return file if file.is_file() else ROOT / module.replace(".", "/") / "__init__.py"


def naming(name: str, modules: Iterable[str]) -> set[str]:
    """The modules that have a file or folder of this name in their text."""
    word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
    return {module for module in modules if word.search(file_of(module).read_text("utf-8"))}


def touched_by(files: Iterable[str], graph: grimp.ImportGraph) -> set[str]:
    """The test files, from the root."""
    files = set(files)
    tests = {file.relative_to(ROOT).as_posix() for file in files_of_tests()}
    if files & set(EVERYTHING):
        return tests
    found = {file for file in tests if file.startswith(ALWAYS)}
    changed: set[str] = set()
    for file in files:
        if file.endswith("/conftest.py"):
            found |= {test for test in tests if test.startswith(file.removesuffix("conftest.py"))}
        elif file.endswith(".py"):
            changed |= {module_of(file)} & graph.modules
        else:
            changed |= naming(file.partition("/")[0], graph.modules)
    for module in changed:
        for each in {module} | graph.find_downstream_modules(module):
            found |= {each.replace(".", "/") + ".py"} & tests
    return found


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else "main"
    files = changed_files(base)
    for file in sorted(touched_by(files, graph_of_imports())):
        print(file)  # noqa: T201


if __name__ == "__main__":
    main()
