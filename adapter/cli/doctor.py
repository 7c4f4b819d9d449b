"""`openway doctor`: what is wrong with this installation, why it matters, and what to do."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapter.cli.numbers import WholeNumber
from adapter.cli.output import Exit, as_json, counted, print_json, print_text, say
from adapter.cli.session import Session, with_session

if TYPE_CHECKING:
    from adapter.cli.client import Client
    from adapter.doctor.doctor import Diagnosis
    from adapter.service.settings import LoadedSettings

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--config", "file", type=_PATH, help="Settings file to look at.")
@click.option(
    "--within",
    type=WholeNumber(1, 600),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="All looks end in this time.",
)
@click.option("--callback-ca", type=_PATH, help="PEM of the authority that the head end believes.")
@click.option("--callback-certificate", type=_PATH, help="PEM that the head end shows.")
@click.option("--callback-key", type=_PATH, help="PEM of its private key.")
@as_json
@with_session
def doctor(
    session: Session,
    file: Path | None,
    within: int,
    callback_ca: Path | None,
    callback_certificate: Path | None,
    callback_key: Path | None,
    as_json: bool,
) -> None:
    """Look at settings, files, store, ports, keys, versions, head end and callbacks.

    The gateway may run or not; of a running one its API is asked. Nothing is changed, and no
    command is sent: of the head end ?wsdl is asked for, and the status of a request that nobody
    made. Leaves with 0 where all is well, 1 for warnings, 7 for faults.
    """
    from adapter.doctor.callback_address import CallerFiles
    from adapter.doctor.doctor import examine
    from adapter.engine.clock import SystemClock

    files = CallerFiles(ca=callback_ca, certificate=callback_certificate, key=callback_key)
    diagnosis = examine(
        session.at(file).file,
        api=lambda loaded: _client(loaded, within),
        clock=SystemClock().now,
        caller=files,
        within_s=float(within),
    )
    _show(diagnosis, as_json=as_json)
    raise SystemExit(exit_code(diagnosis))


def _client(loaded: "LoadedSettings", within: int) -> "Client":
    from adapter.cli.client import Client

    api = loaded.settings.api
    return Client(
        url=api.address, key=api.key, ca_file=api.ca_file, timeout_s=min(api.timeout_s, within / 2)
    )


def exit_code(diagnosis: "Diagnosis") -> Exit:
    """For scripts: nothing, warnings, or faults."""
    from adapter.doctor.findings import Level

    codes = {None: Exit.OK, Level.WARNING: Exit.WITHOUT_SUCCESS, Level.FAULT: Exit.FAILED}
    return codes[diagnosis.worst]


def _show(diagnosis: "Diagnosis", *, as_json: bool) -> None:
    from adapter.doctor.findings import Level

    if as_json:
        names = ("code", "area", "level", "what", "why", "action")
        rows = [{name: getattr(each, name) for name in names} for each in diagnosis.findings]
        worst = diagnosis.worst or "fine"
        print_json({"worst": worst, "running": diagnosis.running, "findings": rows})
        return
    for each in diagnosis.findings:
        print_text(f"{each.level} ({each.area}, {each.code}): {each.what}")
        print_text(f"    why  {each.why}")
        print_text(f"    do   {each.action}")
    counts = [each.level for each in diagnosis.findings]
    told = ", ".join(
        counted(counts.count(level), level)
        for level in (Level.FAULT, Level.WARNING)
        if level in counts
    )
    say(told or "nothing is wrong")
