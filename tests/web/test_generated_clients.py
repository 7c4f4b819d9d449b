"""Clients that generators make of the document do a command and an order, at a live gateway."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from adapter.cli import run as openway
from adapter.web.api.openapi import document_json
from tests.cli.running_service import ADMIN, OPERATOR, Service, serving

_GENERATE_S = 100


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("site"), meters=5) as found:
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("OPENWAY_API_URL", found.api_url)
            environ.setenv("OPENWAY_API_KEY", ADMIN)
            assert openway(["devices", "import", str(found.devices_file)]) == 0
        yield found


def generated(folder: Path, *arguments: str) -> None:
    """A package in the folder, of the document in `openapi.json` beside it."""
    (folder / "openapi.json").write_bytes(document_json())
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    made = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_GENERATE_S,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture
def a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_openapi_python_client(a_folder: Path, service: Service) -> None:
    generated(
        a_folder, "-m", "openapi_python_client", "generate", "--path", "openapi.json",
        "--output-path", "made_by_opc", "--meta", "none", "--config", "config.yml",
    )  # fmt: skip

    def of(name: str) -> Any:
        return importlib.import_module(f"made_by_opc.{name}")

    models = of("models")
    with of("client").AuthenticatedClient(base_url=service.api_url, token=OPERATOR) as client:
        command = of("api.commands.submit_command").sync(
            client=client,
            idempotency_key="opc-1",
            body=models.CommandIn(
                kind=models.CommandKind.REMOTE_DISCONNECT, devices=["M700001"], reference="opc"
            ),
        )
        done = of("api.commands.get_command").sync(command.id, client=client, wait=30)
        assert (done.state, done.final) == (models.State.COMPLETED, True)
        assert done.outcome == models.Outcome.SUCCEEDED
        page = of("api.commands.list_commands").sync(client=client, reference="opc")
        assert [each.id for each in page.items] == [command.id]
        wrong = of("api.commands.get_command").sync("nobody", client=client)
        assert (wrong.status, wrong.code) == (404, "not_found")

        order = of("api.orders.submit_order").sync(
            client=client,
            body=models.OrderIn(
                kind=models.OrderKind.RECONNECT, service_point="SP700001", reference="opc"
            ),
        )
        ended = of("api.events.list_events").sync(
            client=client, subject=order.id, types="openway.order.completed", wait=30
        )
        assert [each.type_ for each in ended.items] == ["openway.order.completed"]
        shown = of("api.orders.get_order").sync(order.id, client=client)
        assert (shown.order.state, shown.order.final) == ("completed", True)


def test_datamodel_code_generator(a_folder: Path, service: Service) -> None:
    generated(
        a_folder, "-m", "datamodel_code_generator", "--input", "openapi.json",
        "--input-file-type", "openapi", "--output", "made_by_dcg.py", "--output-model-type",
        "msgspec.Struct", "--target-python-version", "3.11", "--formatters", "builtin",
    )  # fmt: skip
    made: Any = importlib.import_module("made_by_dcg")
    headers = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json"}
    with httpx.Client(base_url=f"{service.api_url}/api/v1", headers=headers, timeout=60) as http:

        def post(path: str, body: object, gives: str) -> Any:
            answer = http.post(path, content=msgspec.json.encode(body))
            return msgspec.json.decode(answer.raise_for_status().content, type=getattr(made, gives))

        def get(path: str, gives: str, **query: object) -> Any:
            answer = http.get(path, params={name: str(each) for name, each in query.items()})
            return msgspec.json.decode(answer.raise_for_status().content, type=getattr(made, gives))

        kind = made.CommandKind.remote_disconnect
        wanted = made.CommandIn(kind=kind, devices=["M700002"], idempotency_key="dcg-1")
        command = post("/commands", wanted, "CommandOut")
        done = get(f"/commands/{command.id}", "CommandOut", wait=30)
        assert (done.state.value, done.outcome.value) == ("completed", "succeeded")
        ordered = made.OrderIn(
            kind=made.OrderKind.reconnect, service_point="SP700002", reference="dcg"
        )
        order = post("/orders", ordered, "OrderOut")
        ended = get(
            "/events", "EventPageOut", subject=order.id, types="openway.order.completed", wait=30
        )
        assert [each.type for each in ended.items] == ["openway.order.completed"]
        assert get(f"/orders/{order.id}", "OrderShownOut").order.final
