"""Each file of deploy/ can be read, and every name in it is one that the program knows."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import pytest

from adapter.cli import openway
from adapter.model.bounds import GIB, MIB
from adapter.service.checks import check_files
from adapter.service.settings import Settings
from adapter.settings.loading import leaves
from adapter.web.api.routes import ROUTES
from tests.deploy.files import (
    COMPOSE,
    DEPLOY,
    DOCKERFILE,
    KUBERNETES,
    NGINX,
    ROOT,
    UNIT,
    all_files,
    command_lines,
    documents,
    instructions,
    loaded,
    manifest,
    manifests,
    named_files,
    unit_of,
)
from tests.support import for_every

_IMAGE: Final = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?(:[\w.-]+)?")
_READERS: Final[Mapping[str, Callable[[Path], object]]] = {
    ".yml": documents,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    ".service": lambda path: unit_of(path.read_text(encoding="utf-8")),
}
_READ_ELSEWHERE: Final = {DOCKERFILE, NGINX}
_USER: Final = "10001"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return loaded(tmp_path_factory.mktemp("deployed"))


@for_every("path", all_files(), ids=lambda path: path.name)
def test_it_can_be_read(path: Path) -> None:
    if path not in _READ_ELSEWHERE:
        assert _READERS[path.suffix](path)


def test_the_settings_are_taken_with_all_the_files_that_they_name(settings: Settings) -> None:
    check_files(settings)
    assert settings.head_end is not None
    assert settings.listener.tls is not None
    assert settings.listener.tls.client_ca_file is not None
    assert settings.api.tls is not None


@for_every("where, words", list(command_lines()))
def test_every_command_line_is_one_of_the_program(where: str, words: list[str]) -> None:
    _parse(openway, words)


def _parse(command: click.Command, words: list[str]) -> None:
    """Raises click.UsageError for a word that is none."""
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{command.name} has no {words[0]}"
        command, words = found, words[1:]
    command.make_context(command.name, [*words])


def test_every_variable_is_a_setting_or_names_the_settings_file() -> None:
    known = {"OPENWAY_CONFIG"}.union(*(leaf.variables for leaf in leaves(Settings)))
    named = {
        name
        for path in all_files()
        for name in re.findall(r"\bOPENWAY_[A-Z0-9_]+\b", path.read_text(encoding="utf-8"))
    }
    assert named - {"OPENWAY_"} <= known


def test_every_path_of_the_settings_folder_is_one_that_the_settings_name() -> None:
    known = {*named_files(), "/etc/openway/openway.toml", "/etc/openway/tls"}
    known |= {"/etc/openway/secrets", "/etc/openway/prometheus"}
    known |= {"/etc/openway/prometheus/openway.token"}
    named = {
        path
        for file in all_files()
        for path in re.findall(
            r"(?<![\w/])/etc/openway/[\w./-]*[\w]", file.read_text(encoding="utf-8")
        )
    }
    assert named <= known


def test_every_port_is_one_of_the_settings(settings: Settings) -> None:
    listener, api = settings.listener.port, settings.api.port
    exposed = dict(instructions())["EXPOSE"].split()
    assert exposed == [str(listener), str(api)]
    container = pod()["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"callbacks": listener, "api": api}
    published = documents(COMPOSE)[0]["services"]["gateway"]["ports"]
    assert [each.rpartition(":")[2] for each in published] == exposed
    upstreams = re.findall(r"server gateway\.example\.net:(\d+);", NGINX.read_text("utf-8"))
    assert upstreams == exposed
    scraped = documents(DEPLOY / "prometheus" / "compose.yml")[0]["scrape_configs"][0]
    assert scraped["static_configs"] == [{"targets": [f"gateway:{api}"]}]
    for service in ("openway-callbacks", "openway-api"):
        (port,) = manifest("Service", service)["spec"]["ports"]
        assert port["targetPort"] in ports


def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment", "openway")["spec"]["template"]["spec"]
    return found


def longest_stop_s(settings: Settings) -> float:
    """As docs/operating.md has it."""
    assert settings.head_end is not None
    drain_s = max(settings.listener.connections.drain_s, settings.api.connections.drain_s)
    under_way_s = settings.engine.lease_s / 2 + settings.head_end.timeouts.total_s
    return settings.api.leave_s + 2 * drain_s + under_way_s


def test_whoever_stops_it_waits_until_it_has_ended(settings: Settings) -> None:
    unit = unit_of(UNIT.read_text(encoding="utf-8"))
    waits = {
        "systemd": float(unit["TimeoutStopSec"][0]),
        "compose": float(
            documents(COMPOSE)[0]["services"]["gateway"]["stop_grace_period"].removesuffix("s")
        ),
        "kubernetes": float(pod()["terminationGracePeriodSeconds"]),
    }
    assert {name for name, waited in waits.items() if waited < longest_stop_s(settings)} == set()


def test_whoever_balances_notices_while_it_leaves(settings: Settings) -> None:
    probe = pod()["containers"][0]["readinessProbe"]
    notices_s = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert settings.api.leave_s > notices_s


def test_probes_ask_what_needs_no_key(settings: Settings) -> None:
    open_paths = {route.path for route in ROUTES if not route.roles}
    container = pod()["containers"][0]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container[name]["httpGet"]
        assert asked["path"] in open_paths
        assert (asked["port"], asked["scheme"]) == ("api", "HTTPS")
    assert settings.api.tls is not None


def test_nothing_runs_as_root_or_writes_elsewhere_than_to_its_volumes(settings: Settings) -> None:
    steps = instructions()
    assert [name for name, _ in steps].count("FROM") == 2
    after = steps[[name for name, _ in steps].index("USER") :]
    assert dict(after)["USER"] == f"{_USER}:{_USER}"
    assert not [name for name, _ in after if name in ("RUN", "COPY", "USER")][1:]
    gateway = documents(COMPOSE)[0]["services"]["gateway"]
    for service in documents(COMPOSE)[0]["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    container = pod()["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert str(pod()["securityContext"]["runAsUser"]) == _USER
    unit = unit_of(UNIT.read_text(encoding="utf-8"))
    written = {f"/var/lib/{name}" for name in unit["StateDirectory"][0].split()}
    stored = {"/var/lib/openway", "/var/lib/openway-witness"}
    assert written == stored
    mounted = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert mounted - {"/tmp"} == stored
    volumes = {each.split(":")[1] for each in gateway["volumes"] if not each.endswith(":ro")}
    assert volumes == stored
    assert set(json.loads(dict(steps)["VOLUME"])) == stored
    assert {settings.store.path.parent.name, settings.store.witness_file.parent.name} == {
        Path(each).name for each in stored
    }


def test_the_store_has_one_pod_at_a_time() -> None:
    spec = manifest("Deployment", "openway")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    claims = {
        each["persistentVolumeClaim"]["claimName"]
        for each in pod()["volumes"]
        if "persistentVolumeClaim" in each
    }
    there = {
        each["metadata"]["name"] for each in manifests() if each["kind"] == "PersistentVolumeClaim"
    }
    assert claims == there
    for name in there:
        assert manifest("PersistentVolumeClaim", name)["spec"]["accessModes"] == [
            "ReadWriteOncePod"
        ]


def test_no_variable_of_a_service_is_taken_for_a_setting() -> None:
    assert pod()["enableServiceLinks"] is False


def test_secrets_have_the_files_that_the_settings_name() -> None:
    files = {
        f"/etc/openway/{folder}/{name}"
        for folder, secret in (("secrets", "openway-secrets"), ("tls", "openway-tls"))
        for name in manifest("Secret", secret)["stringData"]
    }
    assert files == set(named_files())
    mounts = {each["name"]: each["mountPath"] for each in pod()["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each.get("secret", {}).get("secretName") for each in pod()["volumes"]}
    assert (mounts["secrets"], volumes["secrets"]) == ("/etc/openway/secrets", "openway-secrets")
    assert (mounts["tls"], volumes["tls"]) == ("/etc/openway/tls", "openway-tls")


def test_every_manifest_is_applied_and_names_match() -> None:
    (applied,) = documents(DEPLOY / "kustomization.yml")
    assert {DEPLOY / each for each in applied["resources"]} == set(KUBERNETES)
    (generated,) = applied["configMapGenerator"]
    (volume,) = [each for each in pod()["volumes"] if "configMap" in each]
    assert volume["configMap"]["name"] == generated["name"]
    assert [(DEPLOY / each).is_file() for each in generated["files"]] == [True]
    labels = manifest("Deployment", "openway")["spec"]["template"]["metadata"]["labels"]
    for each in ("openway-callbacks", "openway-api"):
        assert manifest("Service", each)["spec"]["selector"] == labels
    network = manifest("NetworkPolicy", "openway")["spec"]
    assert network["podSelector"]["matchLabels"] == labels
    assert network["policyTypes"] == ["Ingress", "Egress"]


def test_manifests_are_what_the_schema_of_kubernetes_has() -> None:
    import kubernetes_validate

    for each in manifests():
        kubernetes_validate.validate(each, "1.31", strict=True)
    wrong = {**manifest("Deployment", "openway"), "replicas": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_images_are_named_without_a_registry() -> None:
    images = [value.split()[0] for name, value in instructions() if name == "FROM"]
    images += [each["image"] for each in documents(COMPOSE)[0]["services"].values()]
    images += [each["image"] for each in pod()["containers"]]
    assert [each for each in images if not _IMAGE.fullmatch(each)] == []


def test_the_image_is_built_of_files_that_the_context_lets_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = {
        source
        for name, value in instructions()
        if name == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    }
    assert copied == let_in
    assert [each for each in let_in if not (ROOT / each).exists()] == []


def test_files_that_compose_mounts_are_there() -> None:
    services = documents(COMPOSE)[0]["services"]
    mounted = [
        each.split(":")[0] for service in services.values() for each in service.get("volumes", ())
    ]
    named = set(documents(COMPOSE)[0]["volumes"])
    for each in mounted:
        if each.startswith("./"):
            assert (DEPLOY / each).exists()
        else:
            assert each in named or each.startswith("/etc/openway")


def test_what_stands_in_front_bounds_what_the_settings_bound(settings: Settings) -> None:
    text = NGINX.read_text(encoding="utf-8")
    assert "client_max_body_size 1g;" in text
    assert settings.listener.bodies.data_bytes == GIB
    assert "client_max_body_size 8m;" in text
    assert settings.api.body_bytes == 8 * MIB
    waits = [float(each) for each in re.findall(r"proxy_read_timeout (\d+)s;", text)]
    assert waits[0] > settings.listener.bodies.data_deadline_s
    assert waits[1] > settings.api.longest_wait_s
    assert f"location {settings.listener.path_prefix}/openway/" in text
