"""The modules of `adapter/`, each read and taken apart once for all tests of a process."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "adapter"
MODULES: Final = tuple(
    sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
)
"""By their paths from the package."""


@cache
def text_of(module: str) -> str:
    return (PACKAGE / module).read_text(encoding="utf-8")


@cache
def tree_of(module: str) -> ast.Module:
    """Shared by all tests: nobody changes it."""
    return ast.parse(text_of(module))
