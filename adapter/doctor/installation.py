"""Looks at settings, the files they name, and the keys of the API."""

import asyncio
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import Final

from adapter.doctor.findings import DoctorFinding
from adapter.engine.clock import SystemClock
from adapter.errors import SettingsError
from adapter.server.issuer import check_installed, issuer_problem
from adapter.server.settings import ApiKey, OidcSettings, Role
from adapter.service.checks import check_files, zone_remark
from adapter.service.settings import LoadedSettings, load_with_origin

SOON: Final = timedelta(days=30)
"""What ends within this time is told."""

_ABOUT_KEYS: Final = "api.keys"
_KEYS_OF_ENVIRONMENT: Final = "OPENWAY_API_KEYS"


def load_or_say(file: Path | None) -> tuple[LoadedSettings | None, list[DoctorFinding]]:
    """The settings; without those of the keys, and at last none, where they are bad. Each problem
    is a finding."""
    try:
        return load_with_origin(file), []
    except SettingsError as error:
        found = [_of_problem(line) for line in str(error).splitlines()]
    try:
        return load_with_origin(file, skipped=frozenset({_ABOUT_KEYS})), found
    except SettingsError:
        return None, found


def _of_problem(line: str) -> DoctorFinding:
    name = line.partition(":")[0]
    if name.startswith((_ABOUT_KEYS, _KEYS_OF_ENVIRONMENT)) or line.startswith("api: api key"):
        if line.endswith(f": {strerror(ENOENT)}"):
            return DoctorFinding.of("key_file_missing", problem=line)
        return DoctorFinding.of("key_bad", problem=line)
    if "time_zone" in name or "TIME_ZONE" in name:
        return DoctorFinding.of("zone_unknown", problem=line)
    return DoctorFinding.of("setting_bad", problem=line)


def look_at_settings(loaded: LoadedSettings) -> Iterator[DoctorFinding]:
    settings = loaded.settings
    if settings.head_end is None:
        yield DoctorFinding.of("head_end_unset")
    try:
        check_files(settings)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield DoctorFinding.of("settings_file_bad", problem=line)
    for warning in loaded.warnings:
        if not warning.startswith(f"{_ABOUT_KEYS}: tokens stand in clear"):
            yield DoctorFinding.of("secret_open", problem=warning)
    zone = settings.contract.time_zone
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        yield DoctorFinding.of("zone_data_missing", zone=zone)
    if zone_remark(settings, loaded.origin):
        yield DoctorFinding.of("zone_unset")


def look_at_keys(loaded: LoadedSettings, *, now: datetime, bad: bool) -> Iterator[DoctorFinding]:
    """`bad`: the keys could not be read, which is told already."""
    api = loaded.settings.api
    if bad:
        return
    if not api.keys and api.oidc is None:
        yield DoctorFinding.of("keys_none")
        return
    yield from _ends(api.keys, now)
    in_force = [key for key in api.keys if key.expires_at is None or now < key.expires_at]
    if api.oidc is None and not any(Role.ADMIN in key.roles for key in in_force):
        yield DoctorFinding.of("key_no_admin")
    if clear := ", ".join(key.name for key in api.keys if key.in_clear):
        yield DoctorFinding.of("key_in_clear", names=clear)


def look_at_issuer(oidc: OidcSettings, *, within_s: float) -> Iterator[DoctorFinding]:
    """Whether it answers, has keys that sign, and lets people log in where that is set."""
    try:
        check_installed()
    except SettingsError:
        return  # a finding of the settings, which says what to install
    try:
        problem = asyncio.run(issuer_problem(oidc, SystemClock(), within_s=within_s))
    except SettingsError as error:
        problem = str(error)
    if problem:
        yield DoctorFinding.of("issuer_not_reached", issuer=oidc.issuer, problem=problem)


def _ends(keys: Sequence[ApiKey], now: datetime) -> Iterator[DoctorFinding]:
    for key in keys:
        if key.expires_at is None or now + SOON < key.expires_at:
            continue
        code = "key_expired" if key.expires_at <= now else "key_ends_soon"
        roles = " ".join(role for role in Role if role in key.roles)
        at = key.expires_at.isoformat()
        yield DoctorFinding.of(code, key=key.id, name=key.name, at=at, roles=roles)
