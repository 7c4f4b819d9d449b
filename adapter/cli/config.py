"""`openway config`: the settings as they stand, and whether a start would take them."""

from datetime import UTC, datetime
from pathlib import Path

import click

from adapter.cli.output import as_json, counted, print_json, print_table, print_text, say
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT


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
@click.option("--append", is_flag=True, help="Write the line into the file of api.keys_file.")
@click.option("--expires", type=MOMENT, help="When it ends.")
@as_json
@with_session
def new_key(
    session: Session,
    /,
    name: str,
    roles: tuple[str, ...],
    append: bool,
    expires: datetime | None,
    as_json: bool,
) -> None:
    """Make an API key for NAME with ROLES (read, operate, switch, approve, admin, metrics).

    The token is shown once; the line goes into the file that api.keys_file names, where a gateway
    that runs finds it within seconds.
    """
    from adapter.errors import InvalidRequest, SettingsError
    from adapter.server.settings import ApiKey, Role
    from adapter.service.api_keys import append_key

    known = [role.value for role in Role]
    if unknown := [role for role in roles if role not in known]:
        raise InvalidRequest("roles", f"{unknown[0]!r} is none of {', '.join(known)}")
    if len(name.split()) != 1:
        raise InvalidRequest("name", "one word")
    now = datetime.now(UTC)
    if expires is not None and expires <= now:
        raise InvalidRequest("expires", f"{expires.isoformat()} is past")
    try:
        key, token = ApiKey.make(name, *map(Role, roles), now=now, expires_at=expires)
    except SettingsError as error:
        raise InvalidRequest("key", str(error)) from None
    file = _key_file(session) if append else None
    if file is not None:
        append_key(file, key)
    if as_json:
        print_json({"token": token, "line": key.line, "file": file and str(file)})
    else:
        print_text(f"token (for OPENWAY_API_KEY)  {token}")
        print_text(f"line (for api.keys_file)     {key.line}")
        if file is not None:
            say(f"written into {file}")


@config.command(name="hash-keys")
@with_session
def hash_keys(session: Session) -> None:
    """Put the digests of tokens that stand in clear in the file of api.keys_file in their place."""
    from adapter.service.api_keys import hash_tokens

    found = hash_tokens(_key_file(session))
    print_text(f"{counted(len(found), 'token')} hashed; whoever has them goes on")


def _key_file(session: Session) -> Path:
    """Raises SettingsError where none is named."""
    from adapter.errors import SettingsError
    from adapter.service.settings import key_file

    if (file := key_file(session.file)) is None:
        raise SettingsError("api.keys_file: names no file that a key could stand in")
    return file
