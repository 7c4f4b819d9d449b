"""Every statement that runs often searches by an index, on tables that have grown."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from adapter.commands.activity import CommunicationState, State, Work
from adapter.commands.flows import Operation
from adapter.engine.commands.ports import Filter, InboxState
from adapter.engine.upkeep.set_aside import FailedState
from adapter.model.ids import CommandId
from adapter.store.commands import claiming, queries, reading, switch_safety, usage_limits
from adapter.store.files import connect_writer
from adapter.store.migrate import migrate, scripts
from adapter.store.rows import moment
from adapter.store.transaction import Each, Many, Transaction
from adapter.store.upkeep import gauges
from tests.support import for_every

_ROWS = 50_000
_FILL = f"""
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {_ROWS}) """
_TABLES = (
    _FILL + "INSERT INTO command SELECT i, printf('c%09d', i), 'k' || i, 'ping',"
    " iif(i % 9, 'completed', 'pending'), iif(i % 5, NULL, i), 1, 0, x'' FROM n",
    _FILL + "INSERT INTO asked SELECT i, '', x'', x'' FROM n",
    _FILL + "INSERT INTO target SELECT 'd' || (i / 3), printf('c%09d', i) FROM n",
    _FILL + "INSERT INTO communication SELECT i, printf('c%09d-1', i), printf('c%09d', i), 0,"
    f" iif(i % 12, '{Operation.PING}', '{Operation.CONTINGENCY_READ}'),"
    " i % 3, iif(i % 4, 'none', 'status'), iif(i % 999, 'completed', 'sending'), i,"
    " iif(i % 4, NULL, i), iif(i % 2, 't' || i, NULL), 1, x'' FROM n",
    _FILL + "INSERT INTO inbox SELECT i, '', i, iif(i % 50, 'applied', iif(i % 100, 'new',"
    " 'parked')), NULL, '', '', NULL, 't' || i, i, x'', 0, 0, NULL FROM n",
    _FILL + "INSERT INTO inbox_raw SELECT i, x'' FROM n",
    _FILL + "INSERT INTO publication SELECT i, 'e' || i, i, 0, x'' FROM n",
    _FILL + "INSERT INTO audit SELECT i, i, i / 5, 0, NULL, x'', x'' FROM n",
    _FILL
    + "INSERT INTO message SELECT i, printf('c%09d-1', i / 5), i, 0, '', 200, 0, 0, x'' FROM n",
    _FILL + "INSERT INTO debit SELECT i, 'b' || i % 3, i, NULL FROM n",
    _FILL + "INSERT INTO lane SELECT 'l' || i, i FROM n",
    _FILL + "INSERT INTO outcome SELECT 'c' || i % 50, 'e' || i, x'' FROM n",
    _FILL + "INSERT INTO measurement SELECT 'm' || i, 'd' || i % 900, i, x'' FROM n",
    _FILL + "INSERT INTO device SELECT 'd' || i, x'' FROM n",
    _FILL + "INSERT INTO device_group SELECT 'g' || i % 9, 'd' || i FROM n",
    _FILL + "INSERT INTO install_event SELECT 'd' || i, 's' || i, i, 0, 1, x'' FROM n",
)

# Statements that read a whole table on purpose: people and ledgers, never the engine's loops.
_WHOLE = {
    "AUDIT_WALK",
    "BROKEN_LINK",
    "COUNT",
    "LINKED",
    "LINKS",
    "SHARED_ENDPOINTS",
}
# Walks along an index and stops at the limit; there is nothing to search by.
_WALKS = {
    "AUDIT_HEAD", "ANY_HOLD", "SENDING", "TALLY", "UNKNOWN_COST", "OLDEST_PARKED_BARE",
    "OLDEST_PARKED_ADDRESSED", "COUNT_PARKED_BARE", "COUNT_PARKED_ADDRESSED",
}  # fmt: skip
_HOT = {
    name: text.sql(2) if isinstance(text, Many | Each) else text
    for name, text in vars(queries).items()
    if name.isupper() and not name.startswith("_") and name not in _WHOLE
}
_INDEX = {
    "COMMANDS_DUE": "command_due",
    "FIRST_COMMAND_WAKE": "command_due",
    "LIST_STATE": "command_state",
    "OPEN_COMMANDS": "command_state",
    "LIST_KIND": "command_kind",
    "NEXT_CLAIM_OPERATION": "communication_claim",
    "NEXT_CLAIM_PRIORITY": "communication_claim",
    "CLAIMABLE": "communication_claim",
    "SENDING": "communication_sending",
    "COMMUNICATIONS_OF_COMMANDS": "communication_of_command",
    "LIST_COMMUNICATIONS": "communication_of_command",
    "COMMUNICATION_OF_TOKEN": "communication_token",
    "FIND_TOKENS": "communication_token",
    "UNREAD_ADDRESSED": "inbox_addressed",
    "UNREAD_UNADDRESSED": "inbox_unaddressed",
    "FIRST_NEW": "inbox_state",
    "FIRST_TAKING": "inbox_state",
    "UNREAD_PARKED": "inbox_parked",
    "FIRST_PARKED": "inbox_parked",
    "UNPARK": "inbox_token",
    "UNPARK_PUSHED_OUT": "inbox_pushed_out",
    "OLDEST_PARKED_BARE": "inbox_parked_bare",
    "OLDEST_PARKED_ADDRESSED": "inbox_parked_addressed",
    "INBOX_STATE": "inbox_state",
    "COMMAND_OF_KEY": "command_key",
    "COUNT_REJECTED": "rejected_again",
    "RELEASE_LANES": "lane_command",
    "DEBITED": "debit_window",
    "AUDIT_OF_SUBJECT": "audit_subject",
    "MESSAGES": "message_communication",
    "MEASUREMENTS": "measurement_device",
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    path: Path = tmp_path_factory.mktemp("plans") / "gateway.db"
    connection = connect_writer(path, None)
    migrate(connection)
    with connection:
        for statement in _TABLES:
            connection.execute(statement)
    yield connection
    connection.close()


def _plan(connection: apsw.Connection, text: str) -> list[str]:
    names = re.findall(r":(\w+)", text)
    numbered = len(set(re.findall(r"\?\d", text)))
    values = dict.fromkeys(names) if names else (None,) * (numbered or text.count("?"))
    rows = connection.execute("EXPLAIN QUERY PLAN " + text, values)
    return [str(row[3]) for row in rows]


@for_every("name", sorted(_HOT))
def test_a_statement_searches_and_never_scans(grown: apsw.Connection, name: str) -> None:
    plan = _plan(grown, _HOT[name])
    scans = [
        line
        for line in plan
        if line.startswith("SCAN")
        and line != "SCAN linked"
        and "VALUES CLAUSE" not in line
        and "json_each" not in line
        and "CONSTANT ROW" not in line
        and "subquery" not in line.lower()
    ]
    assert not scans or name in _WALKS, plan
    assert _INDEX.get(name, "") in " ".join(plan)
    sorts = [line for line in plan if "TEMP B-TREE FOR ORDER BY" in line]
    assert not sorts or name in _SORTS, plan


# A handful of rows of one device, or rows of several subjects in one order.
_SORTS = {"VIEWS", "VIEWS_AT", "AUDIT_OF_SUBJECT", "MESSAGES"}


def test_the_states_that_statements_name_are_the_models_own() -> None:
    written = "".join(text for text in _HOT.values()) + "".join(text for _, text in scripts())
    named = set(re.findall(r"state = '(\w+)'", written))
    states = set(InboxState) - {InboxState.IGNORED, InboxState.STORED, InboxState.DISCARDED}
    assert named == {
        CommunicationState.SENDING,
        State.COMPLETED,
        FailedState.WAITING,
        "open",
        *states,
    }  # open: error records


def _steps(connection: apsw.Connection, work: Callable[[], object]) -> int:
    """Instructions of SQLite's machine that `work` takes, in hundreds."""
    hundreds = 0

    def count() -> bool:
        nonlocal hundreds
        hundreds += 1
        return False

    connection.set_progress_handler(count, 100)
    work()
    connection.set_progress_handler(None)
    return hundreds


def test_looking_for_what_is_due_costs_little_however_much_waits(grown: apsw.Connection) -> None:
    """A plan says which index is searched, not how much of it is walked through."""
    tx = Transaction(grown)
    nothing_due, later = moment(-1), moment(10**12)

    def claims() -> None:
        for work in Work:
            claiming.claim(tx, work, 100, nothing_due, later, frozenset())

    assert _steps(grown, lambda: reading.next_wake(grown)) < 40
    assert _steps(grown, claims) < 40
    assert _steps(grown, lambda: claiming.due(tx, 100, nothing_due, later)) < 5
    assert _steps(grown, lambda: reading.unread(grown, 100, nothing_due)) < 60
    wanted = Filter(open_only=True, limit=10, before=CommandId("c000000000"))
    assert _steps(grown, lambda: reading.list_commands(grown, wanted)) < 20


def test_a_scrape_reads_little_however_many_commands_there_are(grown: apsw.Connection) -> None:
    for state in State:
        ask = partial(grown.execute, gauges.OLDEST_COMMANDS, {"state": state})
        assert _steps(grown, lambda ask=ask: ask().fetchall()) < 60, state  # type: ignore[misc]
    for text in (gauges.COUNT_ORDERS, gauges.OLDEST_ORDER):
        assert "order_state" in " ".join(_plan(grown, text))


def test_claiming_reads_no_more_than_it_takes(grown: apsw.Connection) -> None:
    skip = frozenset({Operation.PING})

    def claim() -> None:
        claiming.claim(Transaction(grown), Work.STATUS, 5, moment(10**9), moment(10**9), skip)

    assert _steps(grown, claim) < 40


_OF_LIMITS = {
    "AHEAD": "limit_wait_turn", "USED": "sqlite_autoindex_limit_use_1",
    "IN_FORCE": "limit_override_open", "COUNTS": "communication_of_command",
    "QUEUED": "communication_claim", "CONNECTS": "communication_claim",
    "TURN_BACK": "communication_claim", "BEHIND": "limit_wait_turn",
}  # fmt: skip


def test_limits_are_looked_up_and_what_waits_leads_to_its_communication(
    grown: apsw.Connection,
) -> None:
    for name, index in _OF_LIMITS.items():
        text = vars(usage_limits).get(name) or vars(switch_safety)[name]
        plan = " ".join(_plan(grown, text))
        assert index in plan or "PRIMARY KEY (name=? AND member=?" in plan, (name, plan)
    for name in ("LOOK_AGAIN", "GONE"):
        plan = " ".join(_plan(grown, vars(switch_safety)[name]))
        assert "communication_claim" not in plan, (name, plan)
        assert "communication_1 (id=?)" in plan, (name, plan)
