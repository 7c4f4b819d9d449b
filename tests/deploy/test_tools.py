"""What is in deploy/ before the programs that read it, where they are installed."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import yaml

from adapter.server.credentials import basic_header_of
from adapter.server.settings import BasicUser, ListenerSettings, RestSettings, ServerTls
from tests.deploy.files import DEPLOY, NGINX, UNIT, manifests
from tests.durability.gateway_process import free_port, until
from tests.headend.authority import Authority
from tests.web.both_servers import KEYS, TOKENS, XML, a_rig, status_changed

_LONGEST_S: Final = 60.0
_EXPOSURE: Final = 15
"""What systemd-analyze calls the exposure of the unit, in tenths: as it is now."""


def program(name: str, hint: str) -> str:
    """Skips the test where there is none."""
    beside = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    found = shutil.which(name, path=beside)
    if found is None:
        pytest.skip(f"NOT CHECKED: {name} is not installed{hint}")
    return found


def ran(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in arguments],
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )


def test_systemd_takes_the_unit_and_calls_it_little_exposed(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "")
    there = Path(sys.executable).parent / "openway"
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/opt/openway/bin/openway", str(there))
    unit.write_text(text, encoding="utf-8")
    done = ran(analyze, "verify", "--man=no", unit)
    said = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    if done.returncode and not said:
        pytest.skip(f"NOT CHECKED: systemd-analyze verify cannot work here: {done.stderr[:200]}")
    assert said == []
    done = ran(analyze, "security", "--offline=true", f"--threshold={_EXPOSURE}", unit)
    if "offline" in done.stderr:
        pytest.skip("NOT CHECKED: systemd-analyze is too old to look at a unit that is not loaded")
    assert done.returncode == 0, done.stdout[-500:]


def test_a_word_that_systemd_does_not_know_is_found(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8") + "\n[Service]\nProtectSytem=yes\n", "utf-8")
    done = ran(analyze, "verify", "--man=no", unit)
    assert "ProtectSytem" in done.stdout + done.stderr


def test_kubectl_puts_the_manifests_together() -> None:
    kubectl = program("kubectl", "")
    done = ran(kubectl, "kustomize", DEPLOY)
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each["kind"] != "ConfigMap"]
    assert len(made) == len(manifests())
    in_it = [each for each in made if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in in_it} == {"openway"}


def test_docker_takes_the_compose_file() -> None:
    docker = program("docker", "")
    if ran(docker, "compose", "version").returncode:
        pytest.skip("NOT CHECKED: docker has no compose here")
    done = ran(docker, "compose", "--file", DEPLOY / "compose.yml", "config", "--quiet")
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- nginx


def _nginx_folder(folder: Path, authority: Authority, ports: Mapping[str, int]) -> Path:
    """The example with a test's own files and ports, within what nginx wants around it."""
    other = Authority(folder, "Of the Head End")
    shown = authority.issue("127.0.0.1")
    theirs = folder / "openway"
    theirs.mkdir()
    for name in ("callbacks", "api", "nginx"):
        (theirs / f"{name}.pem").write_bytes(shown.certificate.read_bytes())
        (theirs / f"{name}.key").write_bytes(shown.key.read_bytes())
    (theirs / "gateway-ca.pem").write_bytes(authority.ca.read_bytes())
    for name in ("head-end-ca", "requesters-ca"):
        (theirs / f"{name}.pem").write_bytes(other.ca.read_bytes())
    caller = other.issue("localhost")
    (folder / "caller.pem").write_bytes(caller.certificate.read_bytes())
    (folder / "caller.key").write_bytes(caller.key.read_bytes())
    text = NGINX.read_text(encoding="utf-8").replace("/etc/nginx/openway", str(theirs))
    for old, new in (
        ("server gateway.example.net:8101;", f"server 127.0.0.1:{ports['listener']};"),
        ("server gateway.example.net:8102;", f"server 127.0.0.1:{ports['rest']};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{ports['callbacks']} ssl;"),
        ("listen 8443 ssl;", f"listen 127.0.0.1:{ports['api']} ssl;"),
        ("proxy_ssl_name gateway.example.net;", "proxy_ssl_name 127.0.0.1;"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr warn;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{text}\n}}\n",
        encoding="utf-8",
    )
    return path


@contextmanager
def _running_nginx(nginx: str, config: Path) -> Iterator[None]:
    with (config.parent / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [nginx, "-p", str(config.parent), "-c", str(config)], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(_LONGEST_S)


async def test_nginx_takes_the_example_and_passes_on_who_shows_a_certificate(
    tmp_path: Path,
) -> None:
    nginx = program("nginx", "; `make nginx` fetches it")
    authority = Authority(tmp_path)
    ports = {name: free_port() for name in ("listener", "rest", "callbacks", "api")}
    config = _nginx_folder(tmp_path, authority, ports)
    tested = ran(nginx, "-t", "-p", tmp_path, "-c", config)
    assert tested.returncode == 0, tested.stderr
    shown = authority.issue("127.0.0.1")
    tls = ServerTls(certificate_file=shown.certificate, key_file=shown.key)
    mutual = ServerTls(
        certificate_file=shown.certificate, key_file=shown.key, client_ca_file=authority.ca
    )
    users = (BasicUser(user="head-end", password="a password"),)
    async with a_rig(
        ListenerSettings(port=ports["listener"], tls=mutual, users=users),
        rest=RestSettings(port=ports["rest"], tls=tls, keys=KEYS),
    ) as rig:
        with _running_nginx(nginx, config):
            await until(
                lambda: _listens(ports["callbacks"]), within_s=_LONGEST_S, why="nginx listens"
            )
            stranger = ssl.create_default_context(cafile=authority.ca)
            known = ssl.create_default_context(cafile=authority.ca)
            known.load_cert_chain(tmp_path / "caller.pem", tmp_path / "caller.key")
            for trust, wanted in ((stranger, 400), (known, 200)):
                connector = aiohttp.TCPConnector(ssl=trust)
                async with aiohttp.ClientSession(connector=connector) as http:
                    url = f"https://127.0.0.1:{ports['callbacks']}/openway/status"
                    headers = {**XML, "Authorization": basic_header_of("head-end", "a password")}
                    async with http.post(url, data=status_changed(), headers=headers) as answer:
                        assert answer.status == wanted
                    url = f"https://127.0.0.1:{ports['api']}/api/v1/commands"
                    headers = {"Authorization": f"Bearer {TOKENS['reader']}"}
                    async with http.get(url, headers=headers) as answer:
                        assert answer.status == wanted
            assert len(await rig.rows()) == 1


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
