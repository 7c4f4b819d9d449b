"""The floors of the code, as `pyproject.toml` has them; for CONTRIBUTING. Only in a clone."""

import ast
import tomllib
from pathlib import Path

Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""


def floors(root: Path) -> Lines:
    """The floors from the lowest up: what stands on each, and what that is."""
    layers = next(each["layers"] for each in _contracts(root) if each["type"] == "layers")
    rows = (
        (str(number), f"`{_path(root, part).relative_to(root)}`", _first_line(root, part))
        for number, layer in enumerate(reversed(layers))
        for part in (each.strip(" ()") for each in layer.split("|"))
    )
    return (("floor", "part", "what it is"), *rows)


def contracts(root: Path) -> Lines:
    """What some parts may not import."""
    rows = (
        (
            each["name"],
            ", ".join(name.removeprefix("adapter.") for name in each["source_modules"]),
            ", ".join(each["forbidden_modules"]),
        )
        for each in _contracts(root)
        if each["type"] == "forbidden"
    )
    return (("rule", "holds for", "may not import"), *rows)


def _contracts(root: Path) -> list[dict[str, str]]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, str]] = project["tool"]["importlinter"]["contracts"]
    return found


def _path(root: Path, part: str) -> Path:
    """The folder or the file of a part."""
    path = root.joinpath(*part.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def _first_line(root: Path, part: str) -> str:
    """The first line of what a module or a package says of itself."""
    path = _path(root, part)
    file = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
