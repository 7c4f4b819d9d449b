"""What `serve` refuses, `config check` refuses: with the same words, and the section named."""

import os
import socket
from pathlib import Path

import pytest

from adapter.errors import SettingsError
from adapter.service.app import build
from adapter.service.checks import check_files
from adapter.service.settings import load
from tests.headend.authority import Authority

ENDLESS = (
    ("listener.tls", "certificate_file"), ("listener.tls", "key_file"),
    ("listener.tls", "client_ca_file"), ("api.tls", "certificate_file"), ("api.tls", "key_file"),
    ("head_end.tls", "ca_file"), ("head_end.tls", "certificate_file"), ("head_end.tls", "key_file"),
    ("api", "ca_file"), ("replies", "ca_file"), ("field_work.webhook", "ca_file"),
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good file for every setting that names one of TLS."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    issued = authority.issue("gateway")
    return {
        "certificate_file": issued.certificate,
        "key_file": issued.key,
        "ca_file": authority.ca,
        "client_ca_file": authority.ca,
    }


def written(folder: Path, more: str) -> Path:
    path = folder / "openway.toml"
    path.write_text('[store]\npath = "s.db"\n[head_end]\nbase_url = "http://127.0.0.1:9"\n' + more)
    return path


async def refused(folder: Path, more: str) -> str:
    """What both of them say."""
    path = written(folder, more)
    with pytest.raises(SettingsError) as checked:
        check_files(load(path, {}))
    with pytest.raises(SettingsError) as started:
        async with build(load(path, {})):
            pass
    assert str(started.value) == str(checked.value)
    return str(checked.value)


@pytest.mark.parametrize(("section", "name"), ENDLESS)
async def test_a_file_of_tls_that_never_ends_is_refused_by_its_setting(
    section: str, name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    tls = section.endswith("tls")
    known = {**files} if tls else {}
    if not section.startswith(("listener", "api")):
        known.pop("client_ca_file", None)
    else:
        known.pop("ca_file", None)
    for bad in (tmp_path / "fifo", Path("/dev/zero")):
        rows = "".join(f'{k} = "{v}"\n' for k, v in {**known, name: bad}.items())
        told = await refused(tmp_path, f"[{section}]\n{rows}")
        assert told.startswith(section), told
        assert name in told
        assert "is no regular file" in told


async def test_a_private_key_that_others_may_write_is_refused(
    files: dict[str, Path], tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(files["key_file"].read_bytes())
    key.chmod(0o666)
    for section in ("listener.tls", "api.tls", "head_end.tls"):
        rows = f'certificate_file = "{files["certificate_file"]}"\nkey_file = "{key}"\n'
        told = await refused(tmp_path, f"[{section}]\n{rows}")
        assert told.startswith(section)
        assert "key_file" in told
        assert "others may write it" in told


@pytest.mark.parametrize(
    ("more", "content", "words"),
    [
        ('[callbacks]\nkeys_file = "k"\n', "short", "callbacks.keys_file: a key shorter than 32"),
        (
            '[replies]\nurl = "http://127.0.0.1:9/r"\nkeys_file = "k"\n',
            "whsec_no base64",
            "replies.keys_file: key 1: a webhook key has the form whsec_<base64>",
        ),
        (
            '[field_work]\nkind = "webhook"\n[field_work.webhook]\n'
            'url = "http://127.0.0.1:9/r"\nkeys_file = "k"\n',
            "whsec_c2hvcnQ=",
            "field_work.webhook.keys_file: key 1: a webhook key has 24 to 64 bytes",
        ),
    ],
)
async def test_a_key_that_signs_is_looked_at(
    more: str, content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "k").write_text(content)
    assert (await refused(tmp_path, more)).startswith(words)


async def test_the_key_beside_the_store_is_looked_at(tmp_path: Path) -> None:
    key = tmp_path / "s.key"
    key.write_text("abc")
    assert "a key shorter than 32" in await refused(tmp_path, "")
    key.unlink()
    os.mkfifo(key)
    assert "is no regular file" in await refused(tmp_path, "")


async def test_a_store_where_no_folder_is_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.db").mkdir()
    assert (await refused(tmp_path, "")).startswith("store.path: ")
    more = written(tmp_path, "").read_text().replace("s.db", "nowhere/s.db")
    (tmp_path / "openway.toml").write_text(more)
    with pytest.raises(SettingsError, match=r"store\.path: .* there is no folder"):
        check_files(load(tmp_path / "openway.toml", {}))


async def test_an_address_that_cannot_be_listened_at_is_refused_by_its_setting(
    tmp_path: Path,
) -> None:
    for host in ("192.0.2.1", "nowhere.invalid"):
        more = f'[listener]\nhost = "{host}"\nallow_anonymous = true\n'
        told = await refused(tmp_path, more)
        assert told.startswith(f"{host}:8101: ")
        assert "(listener.host, listener.port)" in told


async def test_two_of_ours_at_one_address_are_refused(tmp_path: Path) -> None:
    told = await refused(tmp_path, "[listener]\nport = 18777\n[api]\nport = 18777\n")
    assert told == "api.port: 127.0.0.1:18777 is listener.port already"


def test_a_port_that_is_taken_may_be_taken_by_the_gateway_that_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = written(tmp_path, f"[listener]\nport = {taken.getsockname()[1]}\n")
        check_files(load(path, {}))
