"""The settings of a gateway that runs: read again, and taken as far as they may change meanwhile.

A reload is taken whole or not at all: where one file is bad, all of before stays, and people are
told. Connections and calls that are open go on as they began.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.engine.commands.ports import AuditNote, Change, Clock, Store
from adapter.engine.readings.error_records import ErrorRecords
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.engine.upkeep.todo import Todo
from adapter.engine.upkeep.todo_kinds import of_settings
from adapter.errors import SettingsError
from adapter.fieldwork.replies import WebhookReplies
from adapter.fieldwork.webhook import WebhookFieldWork
from adapter.headend import security
from adapter.model.values import replace
from adapter.server import connections
from adapter.server.settings import ServerTls
from adapter.service.api_keys import WatchedKeys
from adapter.service.assembly import Core
from adapter.service.callback_keys import written_keys
from adapter.service.settings import LoadedSettings, Settings
from adapter.service.settings_changes import changes, digests_of, taken_by, with_reloaded
from adapter.service.settings_table import values
from adapter.settings.changes import ReloadReport, SettingState, TakenBy
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener
from adapter.webhooks.sender import WebhookReceiver
from adapter.webhooks.signing import keys_of

log = logging.getLogger(__name__)

ReadSettings = Callable[[], LoadedSettings]
"""Reads the settings anew, but for `api.keys`, whose file is watched. Raises SettingsError."""

_SUBJECT: Final = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What was found, with all made of it that could fail. None: it has not changed."""

    loaded: LoadedSettings
    digests: Mapping[str, bytes]
    taken: Sequence[str]
    restart: Sequence[str]
    listener: ssl.SSLContext | None
    api: ssl.SSLContext | None
    head_end: ssl.SSLContext | None
    callback_keys: Sequence[bytes]


class LiveSettings:
    """Fits the port of the REST interface."""

    def __init__(
        self,
        loaded: LoadedSettings,
        read: ReadSettings,
        *,
        core: Core,
        listener: Listener,
        rest: Rest,
        keys: WatchedKeys,
        store: Store,
        clock: Clock,
    ) -> None:
        self._loaded = loaded
        self._read = read
        self._digests = digests_of(loaded.settings)
        self._core = core
        self._listener = listener
        self._rest = rest
        self._keys = keys
        self._store = store
        self._clock = clock
        self._reading = asyncio.Lock()
        self.problem = ""
        self._since: datetime | None = None

    @property
    def file(self) -> str:
        return "" if self._loaded.file is None else str(self._loaded.file)

    @property
    def _records(self) -> ErrorRecords:
        return self._core.gateway.readings.error_records

    @property
    def _signals(self) -> Signals:
        return self._core.gateway.upkeep.signals

    async def reload(self, *, by: str, reason: str = "") -> ReloadReport:
        """API keys, tables, settings. Raises StoreFailed."""
        problems = []
        new_keys = await self._keys.reload(by=by, reason=reason)
        keys = ("api.keys_file",) if new_keys else ()
        if self._keys.problem:
            problems.append(f"api.keys_file: {self._keys.problem}")
        try:
            await self._records.reload(by=by)
        except SettingsError as error:
            log.error("tables_refused", extra={"reason": str(error)})
            problems.append(str(error))
        async with self._reading:
            try:
                found = await asyncio.to_thread(self._prepare)
            except SettingsError as error:
                await self._refuse(error, by, reason)
                return ReloadReport(taken=keys, problems=(*problems, self.problem))
            self._use(found)
            self.problem, self._since = "", None
            detail = {"taken": found.taken, "restart": found.restart, "reason": reason}
            await self._audit(by, "SettingsReloaded", detail)
            self._signals.tell(
                Signal.SETTINGS_RELOADED,
                taken=", ".join(found.taken),
                restart=", ".join(found.restart),
            )
        return ReloadReport(taken=(*keys, *found.taken), restart=found.restart, problems=problems)

    def _prepare(self) -> _Prepared:
        """Reads files; changes nothing. Raises SettingsError."""
        before = self._loaded
        read = self._read()
        found = replace(
            read,
            settings=replace(
                read.settings, api=replace(read.settings.api, keys=before.settings.api.keys)
            ),
        )
        after = replace(before, settings=with_reloaded(before.settings, found.settings))
        digests = digests_of(after.settings)
        taken = [each.name for each in changes(before, after)]
        taken += [
            name
            for name, digest in digests.items()
            if name not in taken and digest != self._digests.get(name)
        ]
        _check_keys(after.settings)
        signing = written_keys(after.settings) if "callbacks.keys_file" in taken else ()
        if "callbacks.keys_file" in taken and not signing:
            raise SettingsError("callbacks.keys_file: is needed: no key was made beside the store")
        return _Prepared(
            loaded=after,
            digests=digests,
            taken=taken,
            restart=[
                each.name for each in changes(after, found) if each.taken_by is TakenBy.RESTART
            ],
            listener=_server_context("listener", after.settings.listener.tls),
            api=_server_context("api", after.settings.api.tls),
            head_end=_client_context(after.settings),
            callback_keys=signing,
        )

    def _use(self, found: _Prepared) -> None:
        """In one turn of the loop: no request sees some of it."""
        settings, core = found.loaded.settings, self._core
        touched = {name.partition(".tls.")[0] for name in found.taken if ".tls." in name}
        if found.listener is not None and "listener" in touched:
            self._listener.use(found.listener)
        if found.api is not None and "api" in touched:
            self._rest.use(found.api)
        self._listener.let_in(settings.listener.users)
        if settings.head_end is not None and any(
            name.startswith("head_end.") for name in found.taken
        ):
            core.client.use(settings.head_end, found.head_end)
            core.subscribing.use(settings.head_end, found.head_end)
        if found.callback_keys:
            core.identity.use(found.callback_keys)
        signing = {each.name: each.keys for each in settings.events.receivers}
        for receiver in core.receivers:
            if isinstance(receiver, WebhookReceiver):
                receiver.use(signing[receiver.name])
        if isinstance(core.requester, WebhookReplies):
            core.requester.use(settings.replies.keys)
        if isinstance(core.field_work, WebhookFieldWork):
            core.field_work.use(settings.field_work.webhook)
        self._loaded, self._digests = found.loaded, found.digests

    async def _refuse(self, error: SettingsError, by: str, reason: str) -> None:
        self.problem = str(error)
        self._since = self._since or self._clock.now()
        self._signals.tell(Signal.SETTINGS_REFUSED, reason=self.problem)
        await self._audit(by, "SettingsRefused", {"problem": self.problem, "reason": reason})

    async def _audit(self, by: str, action: str, detail: Mapping[str, object]) -> None:
        note = AuditNote(actor=by, action=action, subject=_SUBJECT, detail=detail)
        await self._store.save([Change(audit=(note,))])

    async def states(self) -> tuple[Sequence[SettingState], str]:
        """Each with what the files have now, and why that could not be taken; empty: it could."""
        async with self._reading:
            return await asyncio.to_thread(self._states)

    def _states(self) -> tuple[Sequence[SettingState], str]:
        in_force, problem = self._loaded, ""
        try:
            self._prepare()
            read = self._read()
        except SettingsError as error:
            read, problem = in_force, str(error)
        digests = digests_of(in_force.settings)
        found = {
            each.name: each.after
            for each in changes(in_force, read)
            if each.name != "api.keys_file"
        }
        other = {name for name, digest in digests.items() if digest != self._digests.get(name)}
        return [
            SettingState(
                name=each.shown_name,
                value=each.text,
                origin=each.origin,
                taken_by=taken_by(name, in_force.settings, read.settings),
                found=found.get(each.shown_name, each.text if name in other else None),
            )
            for name, each in values(in_force).items()
        ], problem

    async def doubt(self) -> str:
        """What readiness says; empty where the last reload was taken."""
        return self.problem and f"the settings of before are in force: {self.problem}"

    async def todo(self) -> Sequence[Todo]:
        return [] if self._since is None else [of_settings(self.problem, self._since)]


def _server_context(section: str, tls: ServerTls | None) -> ssl.SSLContext | None:
    try:
        return None if tls is None else connections.tls_context(tls)
    except SettingsError as error:
        raise SettingsError(f"{section}.{error}") from error


def _client_context(settings: Settings) -> ssl.SSLContext | None:
    tls = None if settings.head_end is None else settings.head_end.tls
    try:
        return None if tls is None else security.tls_context(tls)
    except SettingsError as error:
        raise SettingsError(f"head_end.{error}") from error


def _check_keys(settings: Settings) -> None:
    """Raises SettingsError for keys that sign, and are none. Those of receivers were read so."""
    webhook = settings.field_work.webhook
    for name, keys in (
        ("replies.keys_file", settings.replies.keys),
        ("field_work.webhook.keys_file", webhook.keys),
        ("field_work.webhook.report_keys_file", webhook.report_keys),
    ):
        try:
            if keys:
                keys_of(keys)
        except SettingsError as error:
            raise SettingsError(f"{name}: {error}") from error
