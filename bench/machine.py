"""On what it was measured: a figure without that says nothing."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import apsw
from lxml import etree

_PACKAGES: Final = ("aiohttp", "uvloop", "lxml", "zeep", "apsw", "msgspec", "spyne")


def machine() -> dict[str, str]:
    """Names and values, in the order in which they are printed."""
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "memory": _memory(),
        "load before": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "files in": _file_system(Path(tempfile.gettempdir())),
        "Python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "SQLite": apsw.sqlite_lib_version(),
        "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
        "xmllint": _xmllint(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _xmllint() -> str:
    program = shutil.which("xmllint")
    if program is None:
        return "not installed"
    told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    return told.stderr.partition("\n")[0].rpartition(" ")[2] or "not known"


@cache
def _commit() -> str:
    """As git names it, with a mark where files had changed since when the run began."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return "not known"
    return done.stdout.strip()


def _processor() -> str:
    names = {
        line.partition(":")[2].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    }
    name = ", ".join(sorted(names)) or platform.processor() or "not known"
    return f"{name}; {len(os.sched_getaffinity(0))} cores for this process"


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.1f} GB"
    return "not known"


def _file_system(folder: Path) -> str:
    """The kind of the mount that holds the folder; stores in memory would flatter."""
    best, kind = "", "not known"
    for line in _lines("/proc/mounts"):
        _, place, name, *_ = line.split()
        inside = folder == Path(place) or Path(place) in folder.parents
        if inside and len(place) >= len(best):
            best, kind = place, name
    return f"{folder} ({kind})"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
