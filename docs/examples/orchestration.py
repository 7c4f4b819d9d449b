"""An orchestration in a process of its own: it checks many meters, and knows each outcome once.

Killed at any point it goes on where it was: in its own file are what it wants and, in one
transaction, what came of it and its place in the feed. Arguments: URL, own file, how many."""

import asyncio
import os
import sqlite3
import sys

from adapter.client import CommandIn, CommandKind, GatewayClient

ENDS = ("completed", "discarded", "canceled", "resolved", "needs_person", "to_do.*")
SCHEMA = """CREATE TABLE IF NOT EXISTS work (key TEXT PRIMARY KEY, device TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outcome (key TEXT PRIMARY KEY, command TEXT UNIQUE, outcome TEXT);
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, cursor TEXT)"""
AT_ONCE = asyncio.Semaphore(10)
LEFT = "SELECT key, device FROM work WHERE key NOT IN (SELECT key FROM outcome)"


async def check(gateway: GatewayClient, key: str, device: str, known: asyncio.Event) -> None:
    asked = CommandIn(kind=CommandKind.DEVICE_STATUS_CHECK, devices=[device])
    asked.idempotency_key = asked.reference = key
    async with AT_ONCE:
        made = await gateway.submit_command(asked)  # in a later life: the same command
        if not made.state.waits_for_person:  # else its end is for a later life
            await known.wait()


async def follow(gateway: GatewayClient, db: sqlite3.Connection, known: dict) -> None:
    (after,) = db.execute("SELECT max(cursor) FROM place").fetchone()
    async for page in gateway.event_pages(after, types=[f"openway.command.{end}" for end in ENDS]):
        mine = [each.data for each in page.items if each.data["reference"] in known]
        rows = [(of["reference"], of["id"], of["outcome"]) for of in mine if of["final"]]
        with db:
            db.executemany("INSERT INTO outcome VALUES (?, ?, ?)", rows)
            db.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (page.next,))
        for each in mine:
            known[each["reference"]].set()


async def main(url: str, file: str, count: int) -> None:
    db = sqlite3.connect(file)
    db.executescript(SCHEMA)
    async with GatewayClient(url, os.environ["OPENWAY_API_KEY"]) as gateway:
        ids = [each.device.id async for each in gateway.list_devices()]
        with db:
            rows = ((f"check-{each}", each) for each in ids[:count])
            db.executemany("INSERT OR IGNORE INTO work VALUES (?, ?)", rows)
        left = dict(db.execute(LEFT))
        known = {key: asyncio.Event() for key in left}
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow(gateway, db, known))
            await asyncio.gather(*(check(gateway, key, left[key], known[key]) for key in left))
            following.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
