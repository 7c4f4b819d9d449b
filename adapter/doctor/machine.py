"""Looks at the machine: Python, packages, the event loop, and who has the ports."""

import errno
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from adapter.doctor.findings import DoctorFinding
from adapter.fieldwork.settings import FieldWorkKind
from adapter.server.connections import bind
from adapter.service.settings import Settings

_DISTRIBUTION: Final = "openway-gateway"
_PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
_LOOP: Final = "uvloop"


def look_at_versions() -> Iterator[DoctorFinding]:
    python, requirements = _needed()
    here = ".".join(map(str, sys.version_info[:3]))
    if Version(here) not in SpecifierSet(python):
        yield DoctorFinding.of("python_old", found=here, needed=python)
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        yield from _package(requirement)


def versions() -> dict[str, str]:
    """Of Python and of each package that the gateway needs; "" of one that is not there."""
    found = {"python": sys.version.split()[0]}
    for requirement in _needed()[1]:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found[requirement.name] = _installed(requirement.name) or ""
    return found


def _package(requirement: Requirement) -> Iterator[DoctorFinding]:
    wanted = f"{requirement.name}{requirement.specifier}"
    found = _installed(requirement.name)
    if requirement.name == _LOOP and not _loop_is_there():
        yield DoctorFinding.of("uvloop_absent")
    elif found is None:
        yield DoctorFinding.of("package_missing", package=requirement.name, requirement=wanted)
    elif not requirement.specifier.contains(found, prereleases=True):
        words = {"package": requirement.name, "found": found, "requirement": wanted}
        yield DoctorFinding.of("package_old", **words)


def _loop_is_there() -> bool:
    try:
        import_module(_LOOP)
    except ImportError:
        return False
    return True


def _needed() -> tuple[str, list[Requirement]]:
    """What the distribution says that it needs; of a clone, what its pyproject.toml says."""
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == _DISTRIBUTION:
            needed = [Requirement(each) for each in project["dependencies"]]
            return str(project["requires-python"]), needed
    known = metadata.distribution(_DISTRIBUTION)
    python = str(known.metadata["Requires-Python"])
    return python, [Requirement(each) for each in known.requires or ()]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


# ---------------------------------------------------------------- ports


def addresses(settings: Settings) -> dict[str, tuple[str, int]]:
    """Where this gateway listens, by section; not where it takes any free port."""
    found = {
        "listener": (settings.listener.host, settings.listener.port),
        "api": (settings.api.host, settings.api.port),
    }
    if settings.field_work.kind is FieldWorkKind.WEBHOOK:
        webhook = settings.field_work.webhook
        found["field_work.webhook"] = (webhook.host, webhook.port)
    return {section: place for section, place in found.items() if place[1]}


def look_at_ports(settings: Settings, *, running: bool) -> Iterator[DoctorFinding]:
    """`running`: this gateway has them, and so they are taken."""
    for section, (host, port) in addresses(settings).items():
        words = {"section": section, "address": f"{host}:{port}"}
        try:
            bind(host, port).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                yield DoctorFinding.of("address_bad", reason=error.strerror or error, **words)
            elif not running:
                yield DoctorFinding.of("port_taken", port=port, **words)
