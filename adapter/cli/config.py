"""`openway config`: the settings as they stand, and whether a start would take them."""

import secrets
from pathlib import Path

import click

from adapter.cli.output import as_json, counted, print_json, print_table, print_text, say
from adapter.cli.session import Session, with_session


@click.group()
def config() -> None:
    """Look at the settings and check them."""


_FILE = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="Settings file to look at."
)


@config.command()
@_FILE
@click.option("--given", is_flag=True, help="Only what the file or the environment gives.")
@as_json
@with_session
def show(session: Session, file: Path | None, given: bool, as_json: bool) -> None:
    """Print every setting, where it comes from, secrets masked."""
    from adapter.service.settings_table import shown

    session = session.at(file)
    rows = shown(session.loaded, everything=not given)
    if as_json:
        print_json({row.name: {"value": row.value, "origin": row.origin} for row in rows})
    else:
        print_table(("setting", "value", "from"), ((r.name, r.value, r.origin) for r in rows))
        say(f"settings file: {session.file or 'none'}")


@config.command()
@_FILE
@as_json
@with_session
def check(session: Session, file: Path | None, as_json: bool) -> None:
    """Read the settings, and the files they name, as a start would; name what is unknown or bad."""
    from adapter.service.app import contract
    from adapter.service.checks import check_files, zone_remark

    session = session.at(file)
    given = len(session.loaded.origin)
    check_files(session.settings)
    codec = contract(session.settings.contract.wsdl, session.settings.engine.kinds)
    warnings = (*session.loaded.warnings, *codec.catalog.remarks)
    if as_json:
        file_name = str(session.file) if session.file else None
        print_json({"file": file_name, "given": given, "warnings": list(warnings)})
    else:
        for warning in warnings:
            say(f"warning: {warning}")
        print_text(f"good: {counted(given, 'setting')} given, file {session.file or 'none'}")
        if session.settings.head_end is None:
            say("to serve, head_end.base_url is needed too")
        if remark := zone_remark(session.settings, session.loaded.origin):
            say(remark)


@config.command(name="new-key")
@click.argument("name")
@click.argument("roles", nargs=-1, required=True)
@as_json
def new_key(name: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Make an API key for NAME with ROLES (read, operate, switch, approve, admin).

    The token is shown once; the line goes into the file that api.keys_file names.
    """
    from adapter.errors import InvalidRequest
    from adapter.server.settings import ApiKey, Role

    known = [role.value for role in Role]
    if unknown := [role for role in roles if role not in known]:
        raise InvalidRequest("roles", f"{unknown[0]!r} is none of {', '.join(known)}")
    if len(name.split()) != 1:
        raise InvalidRequest("name", "one word")
    token = secrets.token_hex(32)
    key = ApiKey.of(name, token, *(Role(role) for role in roles))
    line = f"{name} {','.join(roles)} sha256:{key.token_sha256}"
    if as_json:
        print_json({"token": token, "line": line})
    else:
        print_text(f"token (for OPENWAY_API_KEY)  {token}")
        print_text(f"line (for api.keys_file)     {line}")
