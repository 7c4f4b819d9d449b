"""The distribution: what is in the wheel, and that it works away from the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from adapter import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def openway(unpacked: Path, *arguments: str) -> str:
    """The program as it is in the wheel; the checkout is not on the path."""
    environ = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-m", "adapter", *arguments],
        cwd=unpacked,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_wheel_has_its_name_version_and_licence(wheel: Path) -> None:
    assert wheel.name == f"openway_gateway-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (licence,) = (name for name in names if name.endswith("licenses/LICENSE"))
        assert b"Apache License" in archive.read(licence)
        (scripts,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"openway = adapter.cli:main" in archive.read(scripts)
    assert not [name for name in names if name.startswith(("tests/", "bench/", "fixtures/"))]


def test_the_wheel_carries_every_file_of_the_contract(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {
            name.removeprefix("adapter/wire/contract/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("adapter/wire/contract/")
        }
    ours = {
        file.relative_to(ROOT / "wsdl").as_posix(): file.read_bytes()
        for file in (ROOT / "wsdl").rglob("*")
        if file.is_file()
    }
    assert carried == ours


def test_the_wheel_carries_every_file_of_the_console_and_the_licences(wheel: Path) -> None:
    ours = {
        file.relative_to(ROOT).as_posix()
        for folder in ("static", "templates")
        for file in (ROOT / "adapter" / "web" / "console" / folder).iterdir()
    }
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert ours <= {*names}
    licences = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert {file.rpartition("/")[2] for file in ours if file.endswith(".LICENSE.txt")} <= licences


def test_the_program_works_from_the_wheel_alone(unpacked: Path) -> None:
    told = openway(unpacked, "wsdl", "check")
    assert str(unpacked / "adapter" / "wire" / "contract") in told
    assert "all 12 commands" in told
    assert "D1-RemoteConnect" in openway(unpacked, "tables", "flows", "--markdown")


def test_every_dependency_has_a_pinned_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}
    assert {each.partition(">=")[0].lower() for each in wanted} <= pinned
    assert all(line.startswith("#") or line.count("==") == 1 for line in lines)
