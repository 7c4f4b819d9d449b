"""The doctor beside a gateway that runs: the callback address from outside in, and what it says."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapter.cli.output import Exit
from adapter.simulator.settings import SimulatorConfig
from tests.cli.running_service import ADMIN, OPERATOR, Printed, Service, Terminal, serving
from tests.doctor.web_servers import Stranger, nobody, proxy, served
from tests.headend.authority import Authority

_ZONE = '[contract]\ntime_zone = "Europe/Berlin"\n'
_USERS = 'users_file = "users"\n'


class Patient:
    """A site whose settings file, and running gateway, the doctor looks at."""

    def __init__(self, folder: Path, terminal: Terminal) -> None:
        self._folder = folder
        self._terminal = terminal

    def __call__(self, *more: str) -> Printed:
        for file in ("keys", "users"):
            if (self._folder / file).exists():
                (self._folder / file).chmod(0o600)
        return self._terminal("--config", str(self._folder / "openway.toml"), "doctor", *more)

    def codes(self, *more: str) -> dict[str, str]:
        """What is said, by code; but for what the keys of these tests are."""
        rows = json.loads(self(*more, "--json").out)["findings"]
        return {row["code"]: row["what"] for row in rows if row["code"] != "key_in_clear"}


def patient(
    folder: Path,
    service: Service,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Patient:
    return Patient(folder, Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN))


def test_a_good_gateway_is_told_to_be_one_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, more=_ZONE) as service:
        ask = patient(tmp_path, service, capsys, monkeypatch)
        terminal = Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)
        assert ask.codes() == {}
        assert ask().code == Exit.WITHOUT_SUCCESS  # the tokens of the tests stand in clear
        file = str(tmp_path / "openway.toml")
        assert terminal("--config", file, "config", "hash-keys").code == Exit.OK
        told = ask()
        assert (told.code, told.out) == (Exit.OK, "")
        assert told.err == "nothing is wrong\n"


def test_a_callback_address_that_nobody_answers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody() as url:
        public = f'public_url = "{url}"\n'
        with serving(tmp_path, more=_ZONE, listener=public) as service:
            ask = patient(tmp_path, service, capsys, monkeypatch)
            found = ask.codes()
            assert set(found) == {"callback_unreachable"}
            assert url in found["callback_unreachable"]
            told = ask()
            assert told.code == Exit.FAILED
            assert "listener.public_url" in told.out


def test_a_callback_address_at_which_another_server_answers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Stranger) as url:
        public = f'public_url = "{url}"\n'
        with serving(tmp_path, more=_ZONE, listener=public) as service:
            found = patient(tmp_path, service, capsys, monkeypatch).codes()
            assert set(found) == {"callback_other_server"}
            assert "HTTP 200" in found["callback_other_server"]


@pytest.mark.parametrize("header", ["soapaction", "authorization"])
def test_a_proxy_that_takes_a_header_off_is_named(
    header: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "users").write_text("headend:a-long-password\n")
    (tmp_path / "users").chmod(0o600)
    listening: list[str] = []
    with served(proxy(lambda: listening[0], without=header)) as url:
        public = f'public_url = "{url}"\n{_USERS}'
        with serving(tmp_path, more=_ZONE, listener=public) as service:
            listening.append(service.listener_url)
            found = patient(tmp_path, service, capsys, monkeypatch).codes()
            assert set(found) == {"callback_header_lost"}
            assert header in found["callback_header_lost"]


def test_a_proxy_that_changes_nothing_is_a_good_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening: list[str] = []
    with served(proxy(lambda: listening[0], without="x-nothing")) as url:
        public = f'public_url = "{url}"\n'
        with serving(tmp_path, more=_ZONE, listener=public) as service:
            listening.append(service.listener_url)
            assert patient(tmp_path, service, capsys, monkeypatch).codes() == {}


def test_a_check_of_the_callback_address_is_good_for_one_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, more=_ZONE) as service:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        begun = call("POST", f"{service.api_url}/api/v1/callback-checks", headers)
        check = json.loads(begun[1])
        assert call("GET", check["url"]) == (404, "Not Found\n")
        assert call("POST", check["url"], {"SOAPAction": "x"}) == (200, check["word"])
        assert call("POST", check["url"])[0] == 404
        found = call("GET", f"{service.api_url}/api/v1/callback-checks/{check['id']}", headers)
        assert "soapaction" in json.loads(found[1])["arrived"]["headers"]
        assert call("GET", f"{service.api_url}/api/v1/callback-checks/none", headers)[0] == 404
        other = {"Authorization": f"Bearer {OPERATOR}"}
        assert call("POST", f"{service.api_url}/api/v1/callback-checks", other)[0] == 403
        for _ in range(15):
            call("POST", f"{service.api_url}/api/v1/callback-checks", headers)
        assert call("POST", f"{service.api_url}/api/v1/callback-checks", headers)[0] == 409


def call(method: str, url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30.0)
    with closing(connection):
        connection.request(method, parts.path, b"" if method == "POST" else None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_a_subscription_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [
        {"effect": "fault", "operation": "SubscribeToEndpointData", "fault": "OperationFault"}
    ]
    head_end = SimulatorConfig.read({"script": refused})
    more = f'{_ZONE}[subscriptions]\ndata = "data_service"\n'
    with serving(tmp_path, more=more, head_end=head_end) as service:
        ask = patient(tmp_path, service, capsys, monkeypatch)
        terminal = Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)
        terminal("subscriptions", "check")
        found = ask.codes()
        assert "subscription_missing" in found
        assert "/openway/data" in found["subscription_missing"]


def test_a_key_that_is_refused_and_one_without_the_right_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, more=_ZONE) as service:
        terminal = Terminal(capsys, monkeypatch, service.api_url)
        for key in (OPERATOR, "nobodys-" + "0" * 32):
            found = Patient(tmp_path, terminal.as_(key)).codes()
            assert set(found) == {"gateway_key_refused", "callback_unproven"}


def test_bad_settings_are_told_where_nothing_can_be_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "openway.toml"
    file.write_text("[engine]\nconcurency = 3\n")
    told = Terminal(capsys, monkeypatch, "http://127.0.0.1:9")("doctor", "--config", str(file))
    assert told.code == Exit.FAILED
    assert "did you mean" in told.out


def test_the_certificate_at_the_callback_address_is_looked_at_as_a_head_end_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, name="Issuer of the proxy")
    believed = ("--callback-ca", str(authority.ca))
    cases: tuple[tuple[str, bool, tuple[str, ...], set[str]], ...] = (
        ("127.0.0.1", True, believed, {"callback_certificate"}),
        ("gateway.example", False, believed, {"callback_certificate"}),
        ("127.0.0.1", False, (), {"callback_issuer"}),
        ("127.0.0.1", False, believed, set()),
    )
    for name, old, more, expected in cases:
        context = authority.server_context(authority.issue(name, expired=old))
        listening: list[str] = []
        handler = proxy(lambda to=listening: to[0], without="x-nothing")  # type: ignore[misc]
        with served(handler, context) as url:
            public = f'public_url = "{url}"\n'
            with serving(tmp_path, more=_ZONE, listener=public) as service:
                listening.append(service.listener_url)
                found = patient(tmp_path, service, capsys, monkeypatch).codes(*more)
                assert set(found) == expected, name
