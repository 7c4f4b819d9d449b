"""Which tests are run for a change: by imports, by what is started, by name, never too few."""

from functools import cache

import grimp
import pytest

from tests.changed import files_of_tests, graph_of_imports, touched_by


@cache
def graph() -> grimp.ImportGraph:
    return graph_of_imports()


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("adapter/wire/stream.py", "tests/wire/test_stream.py"),  # imported
        (
            "adapter/errors.py",
            "tests/engine/commands/test_commands.py",
        ),  # imported by what is imported
        ("adapter/cli/__init__.py", "tests/cli/test_processes.py"),  # started as a process
        ("tests/store/commands/conftest.py", "tests/store/commands/test_timers.py"),
        ("tests/store/writing_process.py", "tests/store/test_crash.py"),
        ("tests/builders.py", "tests/store/test_rows.py"),
        ("fixtures/load_check/success/scenario.toml", "tests/replay/test_fixtures.py"),  # named
        ("README.md", "tests/architecture/test_layout.py"),
    ],
)
def test_a_change_touches_the_tests_that_depend_on_it(changed: str, touched: str) -> None:
    assert touched in touched_by([changed], graph())


def test_a_change_at_the_edge_does_not_touch_what_is_below() -> None:
    touched = touched_by(["adapter/export/png.py"], graph())
    assert "tests/export/test_pictures.py" in touched
    assert "tests/orders/test_matrix.py" not in touched
    assert "tests/store/test_rows.py" not in touched


def test_after_a_change_of_the_settings_of_tests_all_are_run() -> None:
    assert len(touched_by(["pyproject.toml"], graph())) == len(files_of_tests())
