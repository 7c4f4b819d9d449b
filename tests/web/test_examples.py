"""The examples of the document are taken by a live gateway, as they stand."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from adapter.cli import run as openway
from adapter.web.api.examples import EXAMPLES
from adapter.web.api.routes import ROUTES
from tests.cli.running_service import serving

EVERYTHING = "everything-" + "0" * 32


def test_what_needs_nothing_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = f"all read,operate,switch,admin {EVERYTHING}\n"
    with serving(tmp_path, meters=20, keys=keys) as service:
        monkeypatch.setenv("OPENWAY_API_URL", service.api_url)
        monkeypatch.setenv("OPENWAY_API_KEY", EVERYTHING)
        assert openway(["devices", "import", str(service.devices_file)]) == 0
        tried = set()
        for route in ROUTES:
            if route.method != "POST" or "{" in route.path or route.shown is None:
                continue
            for name, example in EXAMPLES[route.shown].items():
                request = urllib.request.Request(
                    service.api_url + route.path,
                    data=(example if isinstance(example, str) else json.dumps(example)).encode(),
                    headers={
                        "Authorization": f"Bearer {EVERYTHING}",
                        "Content-Type": name if route.media else "application/json",
                    },
                )
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        assert answer.status in (200, 202)
                except urllib.error.HTTPError as error:
                    pytest.fail(f"{route.path} {name}: {error.read().decode()}")
                tried.add(route.path.removeprefix("/api/v1"))
        assert {"/commands", "/orders", "/orders/plan", "/measurements", "/schedules"} <= tried
