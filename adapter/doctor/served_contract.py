"""Looks at the contract that the head end serves now, against the one that is used."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from adapter.commands.flows import CommandKind, Operation
from adapter.doctor.findings import DoctorFinding
from adapter.doctor.head_end import NothingMoreToSee, get_page
from adapter.errors import ContractError
from adapter.headend.settings import HeadEndSettings
from adapter.model.values import replace
from adapter.wire.catalog import HOSTED_HERE, Catalog
from adapter.wire.gate import check_contract, grouped, operations_of
from adapter.wire.operation_spec import difference
from adapter.wire.tools.saved_documents import SavedDocuments


def look_at_contract(
    settings: HeadEndSettings, used: Catalog, kinds: frozenset[CommandKind], *, within_s: float
) -> Iterator[DoctorFinding]:
    """Of a head end that cannot be reached nothing is said here: the look at it does."""
    needed = [key for kind in CommandKind if kind in kinds for key in operations_of(kind)]
    urls = {
        key: settings.url_for(Operation(key), used.spec(key).path)
        for key in dict.fromkeys(needed)
        if key not in HOSTED_HERE
    }
    there: list[str] = []
    for url in dict.fromkeys(urls.values()):
        try:
            page = get_page(settings, f"{url}?wsdl", within_s=within_s)
        except NothingMoreToSee:
            return
        if page.status == 200:
            there.append(url)
        else:
            reason = f"HTTP {page.status} {page.reason}"
            yield DoctorFinding.of("contract_not_served", address=url, reason=reason)
            if page.status in (401, 403):
                return  # no more of what may be wrong credentials
    if there:
        served = {key: url for key, url in urls.items() if url in there}
        yield from _compared(settings, used, kinds, served, within_s)


def _compared(
    settings: HeadEndSettings,
    used: Catalog,
    kinds: frozenset[CommandKind],
    urls: Mapping[str, str],
    within_s: float,
) -> Iterator[DoctorFinding]:
    """`urls`: where the service of each operation is."""
    try:
        live = _fetched(settings, tuple(dict.fromkeys(urls.values())), within_s)
    except (ContractError, NothingMoreToSee) as error:
        address = settings.base_url
        yield DoctorFinding.of("contract_not_served", address=address, reason=error)
        return
    services = {key.partition(".")[0] for key in urls}
    found = [each for each in check_contract(live, services=services) if each.command in kinds]
    for operation, problem, commands in grouped(found):
        words = {"problem": problem, "commands": ", ".join(commands), "url": urls[operation]}
        yield DoctorFinding.of("contract_breaks", operation=operation, **words)
    broken = {each.operation for each in found}
    for key, url in urls.items():
        if key in broken or key not in live.operations:
            continue
        ours = used.spec(key)
        # A head end behind a proxy may know itself by another path: the URL is set, not read.
        if text := difference(ours, replace(live.operations[key], path=ours.path)):
            yield DoctorFinding.of("contract_differs", operation=key, difference=text, url=url)


def _fetched(settings: HeadEndSettings, urls: tuple[str, ...], within_s: float) -> Catalog:
    """Raises NothingMoreToSee, ContractError."""

    def read(location: str) -> bytes:
        page = get_page(settings, location, within_s=within_s)
        if page.status != 200:
            raise ContractError(f"{location}: HTTP {page.status} {page.reason}")
        return page.body

    saved = SavedDocuments(read)
    saved.fetch([f"{url}?wsdl" for url in urls])
    with tempfile.TemporaryDirectory(prefix="openway-doctor-") as name:
        for file, content in saved.files.items():
            place = Path(name) / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return Catalog.load(Path(name))
