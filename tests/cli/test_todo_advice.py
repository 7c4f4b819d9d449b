"""What has to be seen to before an order is tried again, below the list of what waits."""

from adapter.cli.client import Json
from adapter.cli.upkeep_todo import before_retry


def _row(id_: str, typed: str, action: str) -> dict[str, Json]:
    return {"id": id_, "action": action, "commands": [{"typed": typed}]}


def test_what_is_to_be_set_is_told_once_for_all_that_need_it() -> None:
    need = "set field_work.kind to file or webhook, restart and retry"
    rows = [
        _row("A", "openway order retry O-1", need),
        _row("B", "openway order retry O-2", need),
        _row("C", "openway command retry C-1", "mend the records"),
        _row("D", "openway order retry O-3", ""),
    ]
    assert before_retry(rows) == [f"before the retry of A, B: {need}"]
