"""Settings: where they come from, what is refused and how it is named, what is never shown."""

import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import get_args, get_origin

import pytest

from adapter.commands.flows import CommandKind, Operation
from adapter.errors import SettingsError
from adapter.headend.settings import Timeouts
from adapter.model.bounds import bounds_in, unwrapped
from adapter.model.values import replace
from adapter.server.settings import Role
from adapter.service.settings import Settings, load, load_with_origin
from adapter.service.settings_table import rows, shown
from adapter.settings.conversion import convert, from_text
from adapter.settings.loading import Leaf, leaves
from adapter.simulator.settings import SimulatorConfig
from tests.support import for_every

TOKEN = "0123456789abcdef0123456789abcdef"
LEAVES = tuple(leaves(Settings))
EVERY = (*LEAVES, *leaves(SimulatorConfig, "simulator_file"))
PLAIN = tuple(leaf for leaf in LEAVES if not leaf.secret)


def a_file(folder: Path, text: str) -> Path:
    path = folder / "openway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(path: Path | None = None, **variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(path, {f"OPENWAY_{name}": value for name, value in variables.items()})
    return str(refused.value).splitlines()


def test_without_file_and_environment_every_setting_has_its_default() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert settings.head_end is None
    assert settings.listener.port == 8101


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    tmp_path: Path,
) -> None:
    path = a_file(tmp_path, "[listener]\nport = 1\n[api]\nport = 2\n")
    settings = load(path, {"OPENWAY_LISTENER_PORT": "3"})
    assert (settings.listener.port, settings.api.port, settings.simulator.port) == (3, 2, 8103)


def test_the_variable_openway_config_names_the_file(tmp_path: Path) -> None:
    path = a_file(tmp_path, "[simulator]\nmeters = 7\n")
    assert load(None, {"OPENWAY_CONFIG": str(path)}).simulator.meters == 7


def test_a_relative_path_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    path = a_file(tmp_path, '[store]\npath = "data/gateway.db"\n')
    assert load(path, {}).store.path == tmp_path / "data" / "gateway.db"


def test_a_command_keeps_what_is_not_overridden_for_it(tmp_path: Path) -> None:
    path = a_file(tmp_path, "[commands.remote_disconnect]\nreply_s = 60\nretry.attempts = 1\n")
    standard, given = load(None, {}).commands, load(path, {}).commands
    one = given[CommandKind.REMOTE_DISCONNECT]
    assert one.reply_s == 60.0
    assert one.retry.attempts == 1
    assert one.expires_s == standard[CommandKind.REMOTE_DISCONNECT].expires_s == 14_400.0
    assert given[CommandKind.LOAD_CHECK] == standard[CommandKind.LOAD_CHECK]


def test_a_command_is_overridden_from_the_environment() -> None:
    settings = load(None, {"OPENWAY_COMMANDS_LOAD_CHECK_REPLY_S": "5"})
    assert settings.commands[CommandKind.LOAD_CHECK].reply_s == 5.0


def test_an_operation_has_the_general_time_outs_where_its_own_are_not_given(tmp_path: Path) -> None:
    text = (
        '[head_end]\nbase_url = "http://127.0.0.1:1"\ntimeouts.reply_s = 7\n'
        '[head_end.operation_timeouts."ControlService.DisconnectMeter"]\ntotal_s = 9\n'
    )
    head_end = load(a_file(tmp_path, text), {}).head_end
    assert head_end is not None
    assert head_end.timeouts_for(Operation.DISCONNECT_METER) == Timeouts(reply_s=7.0, total_s=9.0)
    assert head_end.timeouts_for(Operation.ADD_METER_DEFINITIONS).reply_s == 120.0


def test_the_whole_head_end_comes_from_one_file_and_files_of_secrets(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n", encoding="utf-8")
    text = (
        '[head_end]\nbase_url = "https://head-end.example:8443"\n'
        '[head_end.tls]\nca_file = "ca.pem"\n'
        '[head_end.basic]\nuser = "gateway"\npassword_file = "password"\n'
    )
    head_end = load(a_file(tmp_path, text), {}).head_end
    assert head_end is not None
    assert head_end.basic is not None
    assert head_end.basic.password.reveal() == "correct horse"
    assert head_end.tls is not None
    assert head_end.tls.ca_file == tmp_path / "ca.pem"


def test_disconnects_can_be_bounded_by_hours_days_and_number(tmp_path: Path) -> None:
    text = (
        '[switch]\nwindow = "08:00-17:30"\nweekdays = ["Mon", "friday"]\n'
        'per_hour = 30\nneeds_approval = true\ntime_zone = "America/New_York"\n'
    )
    switch = load(a_file(tmp_path, text), {}).switch
    assert switch.window == (time(8), time(17, 30))
    assert switch.weekdays == {0, 4}
    assert (switch.per_hour, switch.needs_approval) == (30, True)


def test_api_keys_are_lines_of_name_roles_and_token_or_its_digest(tmp_path: Path) -> None:
    digest = "ab" * 32
    (tmp_path / "keys").write_text(
        f"# people\nann read,switch {TOKEN}\nbob approve sha256:{digest} 2030-01-01T00:00:00Z\n",
        encoding="utf-8",
    )
    ann, bob = load(a_file(tmp_path, '[api]\nkeys_file = "keys"\n'), {}).api.keys
    assert (ann.name, ann.roles) == ("ann", frozenset({Role.READ, Role.SWITCH}))
    assert bob.token_sha256 == digest
    assert bob.expires_at is not None


def test_a_token_that_stands_in_clear_is_read_and_said(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"ann read {TOKEN}\n", encoding="utf-8")
    (tmp_path / "keys").chmod(0o600)
    (told,) = load_with_origin(a_file(tmp_path, '[api]\nkeys_file = "keys"\n'), {}).warnings
    assert "tokens stand in clear, of ann" in told
    assert "openway config hash-keys" in told
    assert TOKEN not in told


def test_a_file_of_many_keys_is_read(tmp_path: Path) -> None:
    lines = (f"k{number} read sha256:{number:064x} id=k{number}\n" for number in range(1000))
    (tmp_path / "keys").write_text("".join(lines), encoding="utf-8")
    assert len(load(a_file(tmp_path, '[api]\nkeys_file = "keys"\n'), {}).api.keys) == 1000


def test_several_secrets_in_a_variable_stand_between_semicolons() -> None:
    settings = load(None, {"OPENWAY_LISTENER_USERS": "he:one;he:two"})
    assert [(user.user, user.password) for user in settings.listener.users] == [
        ("he", "one"),
        ("he", "two"),
    ]


# ---------------------------------------------------------------- what is refused


def test_an_unknown_setting_is_named_with_what_was_probably_meant(tmp_path: Path) -> None:
    path = a_file(tmp_path, '[lisener]\nport = 1\n[store]\npaht = "x"\n')
    first, second = complaints(path)
    assert first == "lisener: unknown setting; did you mean listener?"
    assert second == "store.paht: unknown setting; did you mean path?"


def test_an_unknown_variable_is_named_with_what_was_probably_meant() -> None:
    (only,) = complaints(LISTENER_PROT="1")
    assert only == "OPENWAY_LISTENER_PROT: unknown variable; did you mean OPENWAY_LISTENER_PORT?"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[listener]\nport = 70000", "listener.port"),
        ('[listener]\nport = "8101"', "listener.port"),
        ("[listener]\nport = true", "listener.port"),
        ("listener = 5", "listener"),
        ("[engine]\nlease_s = nan", "engine.lease_s"),
        ("[engine]\nlease_s = -1", "engine.lease_s"),
        ("[engine]\nconcurrency = 0", "engine.concurrency"),
        ('[engine]\nkinds = ["remote_conect"]', "engine.kinds"),
        ('[log]\nlevel = "loud"', "log.level"),
        ("[log]\nlevel = 3", "log.level"),
        ('[switch]\nwindow = "8 to 5"', "switch.window"),
        ('[switch]\nwindow = "08:00-08:00"', "switch.window"),
        ('[switch]\nweekdays = ["someday"]', "switch.weekdays"),
        ('[switch]\ntime_zone = "Mars/Olympus"', "switch.time_zone"),
        ("[commands.remote_conect]\nreply_s = 1", "commands.remote_conect"),
        ("[commands.load_check.retry]\nattempts = 0", "commands.load_check.retry.attempts"),
        ("[head_end]\nconnect_attempts = 2", "head_end.base_url"),
        ('[head_end]\nbase_url = "ftp://x"', "head_end.base_url"),
        ('[head_end]\nbase_url = "http://a:b@x"', "head_end.base_url"),
        ('[head_end]\nbase_url = "http://x"\ntimeouts.reply_s = 0', "head_end.timeouts.reply_s"),
        ('[listener]\npublic_url = "gateway"', "listener.public_url"),
        ('[api]\nurl = "http://u:p@x"', "api.url"),
        ('[api]\nhost = "0.0.0.0"', "api.host"),
        ('[store]\npath = ""', "store.path"),
        ("[listener.connections]\nidle_s = 0", "listener.connections.idle_s"),
        ("[engine]\nlease_s = 0", "engine.lease_s"),
        ("[commands.load_check]\nsettle_looks = 0", "commands.load_check.settle_looks"),
        ("[commands.load_check]\nexpires_s = 1e300", "commands.load_check.expires_s"),
        ("[listener.bodies]\nstatus_bytes = 1_000_000_000_000", "listener.bodies.status_bytes"),
        ('[head_end]\nbase_url = "http://x\\r\\ny"', "head_end.base_url"),
        ('[head_end]\nbase_url = "http://x:99999"', "head_end.base_url"),
        ('[head_end]\nbase_url = "http://x/?a=b"', "head_end.base_url"),
        ('[listener]\npublic_url = "http://x\\r\\ny"', "listener.public_url"),
        ('[listener]\npath_prefix = "/../x"', "listener.path_prefix"),
        ('[field_work.webhook]\nurl = "http://127.0.0.1/a b"', "field_work.webhook.url"),
        ('[store]\npath = "~nobody-there/x"', "store.path"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    assert complaints(a_file(tmp_path, text))[0].startswith(f"{named}: ")


def test_all_complaints_are_told_at_once(tmp_path: Path) -> None:
    path = a_file(tmp_path, "[listener]\nport = -1\n[api]\nport = -1\n[nothing]\n")
    assert len(complaints(path, LOG_LEVEL="loud")) == 4


@pytest.mark.parametrize("text", ["[listener\n", "a = \n", "port = 1\nport = 2\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    path = a_file(tmp_path, text)
    assert complaints(path)[0].startswith(str(path))


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "a = " + "9" * 5_000])
def test_a_file_that_is_too_much_is_named_and_ends_in_no_traceback(
    tmp_path: Path, text: str
) -> None:
    path = a_file(tmp_path, text)
    assert complaints(path)[0].startswith(str(path))


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert load(a_file(tmp_path, "\ufeff[listener]\nport = 7\n"), {}).listener.port == 7


def test_files_that_never_end_are_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in ("/dev/zero", str(tmp_path / "pipe"), str(tmp_path)):
        (only,) = complaints(API_KEYS_FILE=file)
        assert only.startswith("OPENWAY_API_KEYS_FILE: ")
        assert "no regular file" in only or "directory" in only


@pytest.mark.parametrize("mode", [0o666, 0o662, 0o620])
def test_a_secret_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "keys").write_text(f"ann read {TOKEN}", encoding="utf-8")
    (tmp_path / "keys").chmod(mode)
    (only,) = complaints(a_file(tmp_path, '[api]\nkeys_file = "keys"\n'))
    assert only.startswith("api.keys_file: ")
    assert "others may write it" in only


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640, 0o600])
def test_a_secret_that_everybody_may_read_is_a_warning_and_taken(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys").write_text(f"ann read sha256:{'ab' * 32}", encoding="utf-8")
    (tmp_path / "keys").chmod(mode)
    file = a_file(tmp_path, '[api]\nkeys_file = "keys"\n')
    loaded = load_with_origin(file, {})
    assert loaded.settings.api.keys[0].name == "ann"
    expected = "api.keys_file: " + f"{tmp_path / 'keys'}: everybody here may read it; "
    assert [each.startswith(expected) for each in loaded.warnings] == [True] * bool(mode & 0o004)
    load(file, {})
    told = [each for each in caplog.records if each.msg == "secret_open_to_others"]
    assert len(told) == len(loaded.warnings)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("twin", ["Ann", "ANN", "\uff41nn", "\u0430nn", "a\u0301nn"])
def test_two_names_of_keys_that_look_alike_are_refused(twin: str) -> None:
    (only,) = complaints(API_KEYS=f"ann switch {TOKEN};{twin} approve {TOKEN}{TOKEN}")
    assert "look alike" in only or "Latin" in only


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaints(tmp_path / "none.toml")[0].startswith(str(tmp_path / "none.toml"))


# ---------------------------------------------------------------- secrets


def test_a_secret_in_the_settings_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = '[head_end]\nbase_url = "http://127.0.0.1"\nbasic = {user="u", password="hunter22"}\n'
    (only,) = complaints(a_file(tmp_path, text))
    assert only.startswith("head_end.basic.password: ")
    assert "password_file" in only
    assert "hunter22" not in only


@pytest.mark.parametrize(
    "line",
    [
        f"ann {TOKEN} read",
        f"ann read,{TOKEN} {TOKEN}",
        f"ann read {TOKEN} tomorrow",
        f"ann read {TOKEN} 2030-01-01T00:00:00Z more",
        "ann read short-secret-word",
        f"ann switch,approve {TOKEN}",
        "just-one-word-that-is-a-secret",
    ],
)
def test_a_bad_line_of_keys_is_refused_without_showing_what_stands_in_it(line: str) -> None:
    (only,) = complaints(API_KEYS=line)
    assert only.startswith("OPENWAY_API_KEYS: ")
    assert TOKEN not in only
    assert "secret" not in only


def test_the_command_line_shows_its_key_to_nobody_on_the_way() -> None:
    (only,) = complaints(API_URL="http://gateway.example:8102", API_KEY=TOKEN)
    assert only.startswith("api.url: ")
    for url in ("https://gateway.example", "http://127.0.0.1:1", "http://[::1]:1"):
        load(None, {"OPENWAY_API_URL": url, "OPENWAY_API_KEY": TOKEN})


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = a_file(tmp_path, '[callbacks]\nkeys_file = "none"\n')
    (only,) = complaints(path)
    assert only.startswith("callbacks.keys_file: ")
    assert str(tmp_path / "none") in only


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("canary-phrase-1", encoding="utf-8")
    text = (
        '[head_end]\nbase_url = "https://he.example"\n'
        'tls = {ca_file = "ca", key_password_file = "phrase"}\n'
        'basic = {user = "u", password_file = "phrase"}\n'
        '[listener.tls]\ncertificate_file = "c"\nkey_file = "k"\nkey_password_file = "phrase"\n'
    )
    environ = {
        "OPENWAY_API_KEYS": f"ann read canary-{TOKEN}",
        "OPENWAY_API_KEY": "canary-key",
        "OPENWAY_LISTENER_USERS": "he:canary-password",
        "OPENWAY_CALLBACKS_KEYS": "canary-1;canary-2",
    }
    loaded = load_with_origin(a_file(tmp_path, text), environ)
    told = repr(shown(loaded)) + repr(loaded.settings)
    assert "canary" not in told
    masked = {row.name.removesuffix("_file") for row in shown(loaded) if row.value == "***"}
    assert masked >= {
        "head_end.tls.key_password",
        "head_end.basic.password",
        "listener.tls.key_password",
        "listener.users",
        "api.keys",
        "api.key",
        "callbacks.keys",
    }


def test_what_is_shown_says_where_each_setting_comes_from(tmp_path: Path) -> None:
    path = a_file(tmp_path, "[listener]\nport = 1\n")
    rows_shown = {row.name: row for row in shown(load_with_origin(path, {"OPENWAY_API_PORT": "2"}))}
    assert rows_shown["listener.port"].origin == "file"
    assert rows_shown["api.port"].origin == "OPENWAY_API_PORT"
    assert rows_shown["log.level"].origin == "default"


# ---------------------------------------------------------------- the table itself


@for_every("row", rows(), ids=lambda row: row.name)
def test_every_setting_has_a_line_of_help(row: object) -> None:
    assert getattr(row, "help", "")


@for_every("leaf", EVERY, ids=lambda leaf: leaf.name)
def test_every_number_has_its_bounds_and_keeps_them(leaf: Leaf) -> None:
    kind = leaf.kind
    if kind in (int, float):
        assert leaf.bounds is not None
        assert leaf.help
        if isinstance(leaf.default, int | float):
            assert leaf.bounds.allow(leaf.default)
        for bad in (-1, math.nan, math.inf, 10**5000):
            assert not leaf.bounds.allow(bad)
    elif get_origin(kind) is Mapping:
        item, notes, _ = unwrapped(get_args(kind)[1])
        assert item is not float or bounds_in(notes)
    else:
        assert leaf.help


def test_every_setting_has_a_variable_of_its_own() -> None:
    counts = Counter(leaf.variable for leaf in LEAVES)
    counts.update(f"{leaf.variable}_FILE" for leaf in LEAVES if leaf.secret)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_duration_and_size_has_its_unit_in_its_name() -> None:
    wrong = [
        row.name
        for row in rows()
        if re.search(r"time_?out|wait|pause|every|idle|deadline", row.name.rpartition(".")[2])
        and row.unit == ""
        and not row.name.endswith(("max_waiting", "waiting_at_once"))
    ]
    assert wrong == []


def sample(leaf: Leaf) -> str:
    kind = leaf.kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return next(iter(kind)).value
    if kind == tuple[time, time]:
        return "08:00-17:00"
    if kind == frozenset[int]:
        return "mon,tue"
    if get_origin(kind) in (tuple, frozenset):
        item = get_args(kind)[0]
        return next(iter(item)).value if issubclass(item, StrEnum) else "one,two"
    if get_origin(kind) is not None:
        item = get_args(kind)[1]
        several = get_origin(item) is frozenset
        return f"a={sample(replace(leaf, kind=item))}" if several else "a=1,b=0.5"
    return {bool: "yes", int: "7", float: "7.5"}.get(kind, "text")


@for_every("leaf", PLAIN, ids=lambda leaf: leaf.name)
def test_every_setting_can_be_read_from_a_variable(leaf: Leaf) -> None:
    value = convert(leaf.name, leaf.kind, from_text(leaf.kind, sample(leaf)), Path())
    assert value not in (None, MISSING)


def test_there_may_be_any_number_of_receivers_each_with_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("whsec_b3BlbndheS1nYXRld2F5LWRvY3VtZW50YXRpb24=\n")
    one = '[[events.webhook]]\nname = "{}"\nurl = "https://cis.example/"\nkeys_file = "keys.txt"\n'
    settings = load(a_file(tmp_path, one.format("a") + one.format("b")), {})
    assert [each.name for each in settings.events.webhook] == ["a", "b"]
    twice = complaints(a_file(tmp_path, one.format("a") * 2))
    assert twice == ["events.webhook: a: a name is given twice"]
    (bad,) = complaints(a_file(tmp_path, one.format("a") + "bogus = 1\n"))
    assert bad.startswith("events.webhook.1.bogus: unknown setting")
    (clear,) = complaints(a_file(tmp_path, one.format("a").replace("https", "http")))
    assert clear == "events.webhook.1.url: plain http beyond loopback needs allow_cleartext"
    (list_,) = complaints(a_file(tmp_path, "[events.webhook]\nname = 'a'\n"))
    assert list_ == "events.webhook: must be tables, each under [[events.webhook]]"


def test_what_is_wrong_with_a_receiver_is_said_by_its_setting_and_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("# new\nwhsec_b3BlbndheS1nYXRld2F5LWRvY3VtZW50YXRpb24=\nwhsec_short\n")
    one = '[[events.webhook]]\nname = "a"\nurl = "https://cis.example/"\n'
    (bad,) = complaints(a_file(tmp_path, one + 'keys_file = "keys.txt"\n'))
    assert bad.startswith(f"events.webhook.1.keys_file: {keys}: key 2: a webhook key has")
    (none,) = complaints(a_file(tmp_path, one))
    assert none.startswith("events.webhook.1.keys_file: is needed: keys of the form whsec_")
    (nameless,) = complaints(a_file(tmp_path, '[[events.callback]]\nurl = "https://x.example/"\n'))
    assert nameless == "events.callback.1.name: is needed"
    (written,) = complaints(a_file(tmp_path, one + 'keys = ["x"]\n'))
    assert "OPENWAY" not in written


def test_receivers_are_among_the_settings_that_are_shown(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("whsec_b3BlbndheS1nYXRld2F5LWRvY3VtZW50YXRpb24=\n")
    one = '[[events.{}]]\nname = "a{}"\nurl = "https://cis.example/"\nkeys_file = "keys.txt"\n'
    text = one.format("webhook", 1) + one.format("webhook", 2) + one.format("callback", 3)
    found = shown(load_with_origin(a_file(tmp_path, text), {}))
    rows = {each.name: (each.value, each.origin) for each in found}
    assert rows["events.webhook.2.name"] == ("a2", "file")
    assert rows["events.webhook.1.keys_file"] == ("***", "file")
    assert rows["events.callback.1.at_once"] == ("8", "default")
