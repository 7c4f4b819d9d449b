"""`openway config diff`, `reload` and `health`: what differs, what takes it; no secret is shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Printed, Service, Terminal, serving

_OLD: Final = "the password that was"
_NEW: Final = "the password that is"
_LOGIN: Final = '[head_end.basic]\nuser = "gateway"\npassword_file = "password"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    (folder / "password").write_text(_OLD, encoding="utf-8")
    with serving(folder, more=_LOGIN) as running:
        yield running


@pytest.fixture
def openway(
    service: Service,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Terminal]:
    """As the administrator; the files are as before afterwards, and in force."""
    good = {path: path.read_bytes() for path in (folder / "openway.toml", folder / "password")}
    terminal = Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)
    yield terminal
    for path, content in good.items():
        path.write_bytes(content)
    assert terminal.as_(ADMIN)("reload").code == Exit.OK


def rows_of(done: Printed) -> dict[str, tuple[object, object, object]]:
    found = done.json["items"]
    assert isinstance(found, list)
    return {row["name"]: (row["before"], row["after"], row["taken_by"]) for row in found}


def change(folder: Path, *pairs: tuple[str, str]) -> Path:
    path = folder / "openway.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_files_have_now_is_compared_with_what_is_in_force(
    openway: Terminal, folder: Path
) -> None:
    assert openway("config", "diff").code == Exit.OK
    (folder / "password").write_text(_NEW, encoding="utf-8")
    change(folder, ("[head_end]\n", '[head_end]\nname = "north"\n'))
    done = openway("config", "diff", "--json")
    assert done.code == Exit.WITHOUT_SUCCESS
    assert rows_of(done) == {
        "head_end.name": ("openway", "north", "restart"),
        "head_end.basic.password_file": ("***", "another content", "reload"),
    }
    told = openway("config", "diff")
    assert "2 settings differ; a restart takes 1 of them" in told.err
    assert not [word for word in (_OLD, _NEW, ADMIN, OPERATOR) if word in told.out + done.out]


def test_a_reload_takes_what_it_can_and_names_the_rest(openway: Terminal, folder: Path) -> None:
    assert "nothing new" in openway("reload").out
    (folder / "password").write_text(_NEW, encoding="utf-8")
    change(folder, ("[head_end]\n", '[head_end]\nname = "north"\n'))
    done = openway("reload", "--reason", "a new year", "--json")
    assert done.code == Exit.OK
    assert done.json == {
        "taken": ["head_end.basic.password_file"],
        "restart": ["head_end.name"],
        "problems": [],
    }
    assert list(rows_of(openway("config", "diff", "--json"))) == ["head_end.name"]
    assert "a new year" in openway("audit", "list", "--limit", "500").out


def test_a_reload_never_says_that_new_keys_are_nothing(openway: Terminal, folder: Path) -> None:
    file = folder / "keys"
    before = file.read_text(encoding="utf-8")
    file.write_text(f"{before}eve read eve-{'0' * 32}\n", encoding="utf-8")
    try:
        told = openway("reload").out
        followed = "KeyAdded" in openway("audit", "list", "--limit", "500").out
    finally:
        file.write_text(before, encoding="utf-8")
    assert "taken: api.keys_file" in told or ("a changed file of keys" in told and followed)


def test_a_reload_that_is_refused_says_so_by_its_exit_code(openway: Terminal, folder: Path) -> None:
    (folder / "password").unlink()
    done = openway("reload")
    assert (done.code, "not taken: head_end.basic.password_file" in done.out) == (
        Exit.SETTINGS,
        True,
    )
    told = openway("config", "diff")
    assert (told.code, "would be refused" in told.err) == (Exit.WITHOUT_SUCCESS, True)
    (folder / "password").write_text(_OLD, encoding="utf-8")


def test_with_settings_that_cannot_be_read_here_the_gateway_is_not_asked(
    openway: Terminal, tmp_path: Path
) -> None:
    bad = tmp_path / "openway.toml"
    bad.write_text("[engine]\nconcurency = 3\n", encoding="utf-8")
    for asked in ("reload", "health"):
        done = openway("--config", str(bad), asked)
        assert done.code == Exit.SETTINGS
        assert "concurency" in done.err
        assert "the gateway was not asked" in done.err
    assert openway("todo", "list", "--json").json["items"] == []


def test_who_is_no_administrator_sees_no_settings(openway: Terminal) -> None:
    openway.as_(OPERATOR)
    for asked in (("config", "diff"), ("reload",)):
        assert openway(*asked).code == Exit.CONFLICT


def test_a_file_is_compared_with_what_is_in_force(
    openway: Terminal, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "openway.toml"
    for name in ("keys", "password", "openway.toml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert rows_of(openway("config", "diff", str(other), "--json")) == {}
    text = other.read_text(encoding="utf-8").replace(_LOGIN, "")
    other.write_text(f"{text}\n[retention]\nmessages_days = 30\n", encoding="utf-8")
    assert rows_of(openway("config", "diff", str(other), "--json")) == {
        "head_end.basic.user": ("gateway", "", "reload"),
        "head_end.basic.password_file": ("***", "", "reload"),
        "retention.messages_days": ("90", "30", "restart"),
    }


def test_two_files_are_compared_without_a_gateway(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENWAY_API_URL", raising=False)
    for name, password, port in (("a", _OLD, 8101), ("b", _NEW, 8201)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "password").write_text(password, encoding="utf-8")
        (tmp_path / name / "openway.toml").write_text(
            f'[store]\npath = "gateway.db"\n[listener]\nport = {port}\n'
            f'[head_end]\nbase_url = "http://127.0.0.1:9"\n{_LOGIN}',
            encoding="utf-8",
        )
    openway = Terminal(capsys, monkeypatch, "")
    monkeypatch.delenv("OPENWAY_API_URL")
    monkeypatch.delenv("OPENWAY_API_KEY")
    one, other = (str(tmp_path / name / "openway.toml") for name in ("a", "b"))
    assert openway("config", "diff", one, one).code == Exit.OK
    done = openway("config", "diff", one, other, "--json")
    assert rows_of(done) == {
        "listener.port": ("8101", "8201", "restart"),
        "head_end.basic.password_file": ("***", "***", "reload"),
    }
    for folder, more in (("a", ""), ("b", '[[switch.cap]]\nname = "cuts"\nper_hour = 5\n')):
        file = tmp_path / folder / "openway.toml"
        file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
    for files in ((one, other), (other, one)):
        found = rows_of(openway("config", "diff", *files, "--json"))
        assert "switch.cap.1.per_hour" in found
        assert not [name for name, row in found.items() if row[:2] == ("", "")]
    assert _OLD not in done.out + done.err
    assert _NEW not in done.out + done.err


def test_health_says_whether_the_gateway_answers(
    openway: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENWAY_API_KEY")
    assert (openway("health").code, openway("health").out) == (Exit.OK, "ok\n")
    assert openway("health", "--ready", "--json").json["status"] in ("ready", "degraded")
    with monkeypatch.context() as nobody:
        nobody.setenv("OPENWAY_API_URL", "http://127.0.0.1:9")
        assert openway("health").code == Exit.UNREACHABLE
