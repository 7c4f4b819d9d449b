"""Nothing is served otherwise than the document says: schemathesis asks a live gateway."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.cli import run as openway
from tests.cli.running_service import serving

CONFIG = Path(__file__).with_name("schemathesis.toml")
EVERYTHING = "everything-" + "0" * 32
APPROVER = "approver-" + "0" * 32
API = "failures_per_minute = 100000\nlongest_wait_s = 0.1"
KEYS = f"all read,operate,switch,admin {EVERYTHING}\n"


SHORT = ("--phases", "examples,fuzzing", "--max-examples", "2", "--generation-deterministic")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(("--max-time", "300"), id="long", marks=pytest.mark.soak),
    ],
)
def test_schemathesis_finds_nothing(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, meters=20, keys=KEYS, api=API) as service:
        monkeypatch.setenv("OPENWAY_API_URL", service.api_url)
        monkeypatch.setenv("OPENWAY_API_KEY", EVERYTHING)
        assert openway(["devices", "import", str(service.devices_file)]) == 0
        found = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run",
                # One worker: Python 3.11 fails where two threads parse Python, as hypothesis does.
                f"{service.api_url}/openapi.json", "--workers", "1", "--continue-on-failure",
                "--header", f"Authorization: Bearer {EVERYTHING}",
                "--header", f"X-Second-Key: {APPROVER}", *arguments,
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr
        (selected,) = re.findall(r"Selected: (\d+)/\1", found.stdout)
        assert f"Tested: {selected}" in found.stdout, found.stdout
