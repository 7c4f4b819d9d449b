"""One surface: `Gateway` has one service a subject, and `adapter.service` what a program needs."""

import ast
import dataclasses
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import adapter.service
from adapter.engine.gateway import Gateway
from tests.architecture.test_layout import SUBJECTS

IO = ("aiohttp", "apsw", "lxml", "xmlschema", "zeep")


def test_the_gateway_has_one_service_of_each_subject_and_the_inbox() -> None:
    """The service of a subject is in the file that bears the subject's name."""
    hints = get_type_hints(Gateway)
    homes = {each.name: hints[each.name].__module__ for each in dataclasses.fields(Gateway)}
    assert homes.pop("loops") == "adapter.engine.loops"
    assert homes.pop("inbox") == "adapter.engine.inbox"
    assert homes == {each: f"adapter.engine.{each}.{each}" for each in SUBJECTS}


def test_a_service_says_what_it_is_for_and_what_it_raises() -> None:
    hints = get_type_hints(Gateway)
    for name in SUBJECTS | {"inbox"}:
        said = hints[name].__doc__ or ""
        assert "raise" in said.lower(), name
        assert said.count(".") >= 2, name


def test_what_a_program_needs_is_imported_from_the_service() -> None:
    """The names that type checkers see are those that are there."""
    tree = ast.parse(Path(adapter.service.__file__ or "").read_text(encoding="utf-8"))
    seen = {
        name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adapter.")
        for name in node.names
    }
    assert sorted(seen) == adapter.service.__all__
    for name, module in seen.items():
        assert getattr(adapter.service, name) is getattr(import_module(module or ""), name)


def test_importing_the_package_reads_nothing_and_opens_nothing() -> None:
    code = f"import adapter, adapter.service, sys; print([x for x in {IO!r} if x in sys.modules])"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "[]\n"
