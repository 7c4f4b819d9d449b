"""The doctor: all looks, at once, and what they found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapter.doctor.callback_address import CallerFiles, look_at_callback
from adapter.doctor.findings import Area, DoctorFinding, Level
from adapter.doctor.head_end import certificate_ends, look_at_head_end
from adapter.doctor.installation import (
    load_or_say,
    look_at_issuer,
    look_at_keys,
    look_at_settings,
)
from adapter.doctor.looks import Look, look_at_all
from adapter.doctor.machine import look_at_ports, look_at_versions
from adapter.doctor.rest import RestApi
from adapter.doctor.running_gateway import look_at_gateway, presence_of
from adapter.doctor.served_contract import look_at_contract
from adapter.doctor.store_files import look_at_store
from adapter.errors import ContractError, SettingsError
from adapter.service.checks import catalog_of
from adapter.service.settings import LoadedSettings, Settings
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec

_MARGIN_S = 2.0
"""A look gives up by itself before it is left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`running`: a gateway answered at the address of the API."""

    findings: tuple[DoctorFinding, ...]
    running: bool

    @property
    def worst(self) -> Level | None:
        """None: nothing but what is good to know."""
        levels = {each.level for each in self.findings}
        return next((each for each in (Level.FAULT, Level.WARNING) if each in levels), None)


def examine(
    file: Path | None,
    *,
    api: Callable[[LoadedSettings], RestApi],
    clock: Callable[[], datetime],
    caller: CallerFiles,
    within_s: float,
) -> Diagnosis:
    """Look at everything that the settings of `file` name. Nothing is changed; each look ends
    within `within_s` seconds, or is left behind."""
    loaded, bad = load_or_say(file)
    if loaded is None:
        looks = [Look(Area.MACHINE, look_at_versions)]
        skipped = ", ".join(each for each in Area if each not in (Area.SETTINGS, Area.MACHINE))
        missed = DoctorFinding.of("not_looked_at", areas=f"ports, {skipped}")
        found = [*bad, missed, *look_at_all(looks, within_s=within_s)]
        return Diagnosis(findings=tuple(found), running=False)
    rest = api(loaded)
    presence = presence_of(rest)
    spare_s = max(within_s - _MARGIN_S, within_s / 2)
    settings, known = loaded.settings, rest if presence.running else None
    keys_bad = any(each.area is Area.KEYS for each in bad)
    looks = [
        Look(Area.SETTINGS, lambda: look_at_settings(loaded)),
        Look(Area.MACHINE, look_at_versions),
        Look(Area.MACHINE, lambda: look_at_ports(settings, running=presence.running)),
        Look(Area.KEYS, lambda: look_at_keys(loaded, now=clock(), bad=keys_bad)),
        *_look_at_issuer(settings, spare_s),
        Look(Area.STORE, lambda: look_at_store(settings, now=clock(), within_s=spare_s)),
        *_looks_outside(settings, clock, spare_s),
        Look(Area.CALLBACK, lambda: _own_certificates(settings, clock())),
        Look(Area.CALLBACK, lambda: look_at_callback(settings, known, caller, within_s=spare_s)),
        Look(Area.GATEWAY, lambda: look_at_gateway(rest, presence, settings.api.address)),
    ]
    found = [*bad, *look_at_all(looks, within_s=within_s)]
    return Diagnosis(findings=tuple(found), running=presence.running)


def _look_at_issuer(settings: Settings, within_s: float) -> Iterator[Look]:
    oidc = settings.api.oidc
    if oidc is not None:
        yield Look(Area.KEYS, lambda: look_at_issuer(oidc, within_s=within_s))


def _looks_outside(
    settings: Settings, clock: Callable[[], datetime], within_s: float
) -> Iterator[Look]:
    head_end = settings.head_end
    if head_end is None:
        return
    try:
        catalog: Catalog = catalog_of(settings.contract.wsdl)
        codec = Codec(catalog)
    except (SettingsError, ContractError) as error:
        problem = DoctorFinding.of("settings_file_bad", problem=error)
        yield Look(Area.CONTRACT, lambda: iter([problem]))
        return
    tolerance_s, kinds = settings.clock.tolerance_s, settings.engine.kinds
    yield Look(
        Area.HEAD_END,
        lambda: look_at_head_end(
            head_end, codec, clock=clock, tolerance_s=tolerance_s, within_s=within_s
        ),
    )
    yield Look(Area.CONTRACT, lambda: look_at_contract(head_end, catalog, kinds, within_s=within_s))


def _own_certificates(settings: Settings, now: datetime) -> Iterator[DoctorFinding]:
    for code, tls in (("listener", settings.listener.tls), ("api", settings.api.tls)):
        if tls is not None:
            yield from certificate_ends(tls.certificate_file, now, f"{code}_certificate")
