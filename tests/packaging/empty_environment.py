"""A virtual environment with the wheel, what it says that it needs, and nothing else."""

import importlib.metadata
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

_INSTALL: Final = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
_OF_BYTECODE: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


def installed(wheel: Path, folder: Path) -> Path:
    """Where its programs are. Packages that it needs are those of the environment that runs the
    tests, so that no network is; one that it needs and does not name is not there."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # Compiled beside its sources: the programs there are told of no other place.
    environ = {name: value for name, value in os.environ.items() if name not in _OF_BYTECODE}
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), *_INSTALL, str(wheel)],
        check=True,
        capture_output=True,
        env=environ,
    )
    (site,) = (folder / "lib").glob("python3*/site-packages")
    (ours,) = importlib.metadata.distributions(name="openway-gateway", path=[str(site)])
    for needed in _needed_by(ours):
        for top in {file.parts[0] for file in needed.files or () if ".." not in file.parts}:
            link = site / top
            if top != "__pycache__" and not link.exists():
                link.symlink_to(Path(str(needed.locate_file(top))))
    return folder / "bin"


def _needed_by(
    distribution: importlib.metadata.Distribution,
) -> Iterator[importlib.metadata.Distribution]:
    """All that it needs without extras, and what those need."""
    seen: set[str] = set()
    waiting = [distribution]
    while waiting:
        for line in waiting.pop().requires or ():
            wanted = Requirement(line)
            extras = wanted.extras or {""}
            applies = wanted.marker is None or any(
                wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            if applies and wanted.name.lower() not in seen:
                seen.add(wanted.name.lower())
                found = importlib.metadata.distribution(wanted.name)
                waiting.append(found)
                yield found
