"""Two readings of the settings compared: what differs, and what takes it."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from adapter.errors import SettingsError
from adapter.headend.settings import with_access_of
from adapter.model.values import replace
from adapter.server.settings import ServerTls
from adapter.service.settings import Api, EventSettings, Listening, LoadedSettings, Settings
from adapter.service.settings_table import (
    SettingRow,
    SettingValue,
    receiver_rows,
    rows,
    values,
)
from adapter.settings.changes import SettingChange, TakenBy
from adapter.settings.text_files import read_whole

_RELOADED: Final = re.compile(
    r"(listener|api|head_end)\.tls\..*|listener\.users|api\.keys"
    r"|head_end\.(basic|username_token)\..*|callbacks\.keys"
    r"|events\.(webhook|callback)\.\d+\.keys"
    r"|field_work\.webhook\.(report_)?keys|replies\.keys"
)
"""Certificates, keys and passwords: what is changed in its turn, and what leaks."""

_OF_THE_COMMAND_LINE: Final = re.compile(
    r"api\.(url|key|second_key|ca_file|timeout_s)|simulator\..*"
)
_NUMBERED: Final = re.compile(r"^events\.(webhook|callback)\.")
"""Of which there may be any number; each has its own in its name."""

_NOTHING: Final = (None, (), "")
"""Values of a setting that is as if it were not given."""

_LONGEST_BYTES: Final = 16 * 1024 * 1024


def taken_by(name: str, before: Settings, after: Settings) -> TakenBy:
    """What takes a change of the setting of this name. A server that had no TLS, or asked for no
    names and passwords, does not begin to while it runs, nor the other way round."""
    if _OF_THE_COMMAND_LINE.fullmatch(name):
        return TakenBy.COMMAND_LINE
    begun_or_ended = (
        (name.startswith("listener.tls.") and _differ(before.listener.tls, after.listener.tls))
        or (name.startswith("api.tls.") and _differ(before.api.tls, after.api.tls))
        or (name == "listener.users" and _differ(before.listener.users, after.listener.users))
    )
    if begun_or_ended or not _RELOADED.fullmatch(name):
        return TakenBy.RESTART
    return TakenBy.RELOAD


def reloaded_rows() -> Iterator[SettingRow]:
    """Of the table of the settings: those that a reload takes."""
    for row in (*rows(), *receiver_rows()):
        name = row.name.removesuffix("_file") if row.type == "file" else row.name
        if _RELOADED.fullmatch(_NUMBERED.sub(r"\g<0>1.", name)):
            yield row


def _differ(before: object, after: object) -> bool:
    return bool(before) is not bool(after)


def changes(before: LoadedSettings, after: LoadedSettings) -> list[SettingChange]:
    """In the order of the table. Paths below the folder of each's own file are compared as they
    are from there."""
    old, new = values(before), values(after)
    found = []
    for name in dict.fromkeys((*old, *new)):
        one, other = _placed(old.get(name), before.file), _placed(new.get(name), after.file)
        if one is not None and other is not None and one.value == other.value:
            continue
        given = one or other
        assert given is not None
        if all(each is None or each.value in _NOTHING for each in (one, other)):
            continue
        found.append(
            SettingChange(
                name=given.shown_name,
                before="" if one is None else one.text,
                after="" if other is None else other.text,
                taken_by=taken_by(name, before.settings, after.settings),
            )
        )
    return found


def _placed(given: SettingValue | None, file: Path | None) -> SettingValue | None:
    if given is None or file is None or not isinstance(given.value, Path):
        return given
    if given.value.is_relative_to(file.parent):
        return replace(given, value=given.value.relative_to(file.parent))
    return given


def with_reloaded(in_force: Settings, found: Settings) -> Settings:
    """`in_force`, with what a reload takes from `found`."""
    head_end = in_force.head_end
    if head_end is not None and found.head_end is not None:
        head_end = with_access_of(head_end, found.head_end)
    return replace(
        in_force,
        listener=_listener(in_force.listener, found.listener),
        api=_api(in_force.api, found.api),
        head_end=head_end,
        callbacks=replace(in_force.callbacks, keys=found.callbacks.keys),
        events=_events(in_force.events, found.events),
        field_work=replace(
            in_force.field_work,
            webhook=replace(
                in_force.field_work.webhook,
                keys=found.field_work.webhook.keys,
                report_keys=found.field_work.webhook.report_keys,
            ),
        ),
        replies=replace(in_force.replies, keys=found.replies.keys),
    )


def _listener(in_force: Listening, found: Listening) -> Listening:
    users = in_force.users if _differ(in_force.users, found.users) else found.users
    return replace(in_force, tls=_tls(in_force.tls, found.tls), users=users)


def _api(in_force: Api, found: Api) -> Api:
    return replace(in_force, tls=_tls(in_force.tls, found.tls))


def _tls(in_force: ServerTls | None, found: ServerTls | None) -> ServerTls | None:
    return in_force if _differ(in_force, found) else found


def _events(in_force: EventSettings, found: EventSettings) -> EventSettings:
    """Receivers are told apart by their names."""
    keys = {each.name: each.keys for each in found.receivers}
    return replace(
        in_force,
        webhook=tuple(
            replace(each, keys=keys.get(each.name, each.keys)) for each in in_force.webhook
        ),
        callback=tuple(
            replace(each, keys=keys.get(each.name, each.keys)) for each in in_force.callback
        ),
    )


# ---------------------------------------------------------------- files of TLS


def tls_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Those that a library reads, each by the name of its setting."""
    head_end = settings.head_end
    for section, tls in (
        ("listener", settings.listener.tls),
        ("api", settings.api.tls),
        ("head_end", None if head_end is None else head_end.tls),
    ):
        for name in ("certificate_file", "key_file", "client_ca_file", "ca_file"):
            path = getattr(tls, name, None)
            if path is not None:
                yield f"{section}.tls.{name}", path


def digests_of(settings: Settings) -> Mapping[str, bytes]:
    """By which another content of these files shows. Of what cannot be read, nothing."""
    found = {}
    for name, path in tls_files(settings):
        try:
            found[name] = hashlib.sha256(read_whole(path, name, _LONGEST_BYTES)).digest()
        except SettingsError:
            found[name] = b""
    return found
