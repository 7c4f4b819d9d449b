"""Prometheus's own checker, where it is installed; `make promtool` fetches it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "openway_rules.yml"
_LONGEST_S: Final = 100.0


def promtool(*arguments: str | Path, folder: Path = RULES.parent) -> str:
    """What it prints. Skips the test where there is none; fails it where it finds a fault."""
    beside = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    program = shutil.which("promtool", path=beside)
    if program is None:
        pytest.skip("NOT CHECKED: promtool is not installed; `make promtool` fetches it")
    ran = subprocess.run(
        [program, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    printed = ran.stdout + ran.stderr
    assert ran.returncode == 0, printed
    return printed
