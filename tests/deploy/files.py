"""What is in deploy/, read as those read it who use it."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from adapter.service.settings import Settings, load
from tests.headend.authority import Authority, Issued

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
SETTINGS: Final = DEPLOY / "openway.toml"
UNIT: Final = DEPLOY / "systemd" / "openway.service"
NGINX: Final = DEPLOY / "nginx" / "openway.conf"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
COMPOSE: Final = DEPLOY / "compose.yml"
KUBERNETES: Final = sorted((DEPLOY / "kubernetes").glob("*.yml"))
ETC: Final = "/etc/openway"
VAR: Final = "/var/lib/"
_NAMED: Final = re.compile(r'"(/etc/openway/(tls|secrets)/[\w.-]+)"')


def all_files() -> list[Path]:
    return sorted(each for each in DEPLOY.rglob("*") if each.is_file())


def documents(path: Path) -> list[Any]:
    """Of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def manifests() -> list[dict[str, Any]]:
    return [each for path in KUBERNETES for each in documents(path)]


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def named_files() -> list[str]:
    """Of certificates and secrets: those that the settings name."""
    return sorted({path for path, _ in _NAMED.findall(SETTINGS.read_text(encoding="utf-8"))})


def unit_of(text: str) -> Mapping[str, Sequence[str]]:
    """The values of each key of a systemd unit, as they stand one after the other."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", "[")):
            key, equals, value = line.partition("=")
            assert equals, f"no line of a unit: {line}"
            found.setdefault(key, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `openway ...` that a file has somebody run, and the file."""
    unit = unit_of(UNIT.read_text(encoding="utf-8"))
    for key in ("ExecStartPre", "ExecStart"):
        for line in unit[key]:
            yield UNIT.name, shlex.split(line)[1:]
    for name, value in instructions():
        if name in ("CMD", "HEALTHCHECK"):
            words = yaml.safe_load(value[value.index("[") :])
            yield DOCKERFILE.name, words[1:] if words[0] == "openway" else words
    for container in manifest("Deployment", "openway")["spec"]["template"]["spec"]["containers"]:
        yield "deployment.yml", container["args"]
    for path in all_files():
        for line in re.findall(r"`openway ([^`]+)`", path.read_text(encoding="utf-8")):
            yield path.name, line.split()


def settings_at(folder: Path, authority: Authority, *, head_end: str, **ports: int) -> Path:
    """A file of the settings of deploy/ below `folder`, with all that it names: certificates for
    this machine, secrets, folders."""
    etc, var = folder / "etc", folder / "var"
    for each in (etc / "tls", etc / "secrets", var / "openway", var / "openway-witness"):
        each.mkdir(parents=True, exist_ok=True)
    shown = {name: authority.issue(name) for name in ("127.0.0.1", "localhost")}
    for path in named_files():
        _write(folder / path.replace(ETC, "etc"), authority, shown)
    listener, api = ports["listener"], ports["api"]
    text = SETTINGS.read_text(encoding="utf-8")
    for there, here in (
        (ETC, str(etc)),
        (VAR, f"{var}/"),
        ('"0.0.0.0"', '"127.0.0.1"'),
        ("https://headend.example.net", head_end),
        ("port = 8101", f"port = {listener}"),
        ("port = 8102", f"port = {api}"),
        ("https://localhost:8102", f"https://localhost:{api}"),
        ("https://callbacks.example.net", f"https://127.0.0.1:{listener}"),
    ):
        assert there in text
        text = text.replace(there, here)
    made = etc / "openway.toml"
    made.write_text(text, encoding="utf-8")
    return made


def _write(path: Path, authority: Authority, shown: Mapping[str, Issued]) -> None:
    issued = shown["localhost" if path.stem == "api" else "127.0.0.1"]
    texts = {
        "head-end-password": HEAD_END_PASSWORD,
        "listener-users": f"head-end:{CALLBACK_PASSWORD}\n",
        "api-keys": f"root admin {ADMIN}\nann operate,switch {OPERATOR}\n",
    }
    if path.name in texts:
        path.write_text(texts[path.name], encoding="utf-8")
    elif path.stem.endswith("-ca"):
        path.write_bytes(authority.ca.read_bytes())
    else:
        path.write_bytes((issued.key if path.suffix == ".key" else issued.certificate).read_bytes())
    path.chmod(0o600)


HEAD_END_PASSWORD: Final = "what the head end wants to hear"
CALLBACK_PASSWORD: Final = "what the gateway wants to hear"
ADMIN: Final = "admin-" + "0" * 40
OPERATOR: Final = "operator-" + "0" * 40


def loaded(folder: Path) -> Settings:
    """The settings of deploy/, with files of a test's own."""
    authority = Authority(folder)
    path = settings_at(
        folder, authority, head_end="https://headend.example.net", listener=8101, api=8102
    )
    return load(path, {})
