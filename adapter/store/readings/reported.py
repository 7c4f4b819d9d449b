"""SQL of reports: channels in the order of their unique index, values of one in that of the key."""

from typing import Final

from adapter.store.readings.owners import owner_of

_KEY: Final = "device, component, kind, same_quantity, source, seconds, endpoint, unit"
_TOLD: Final = "device, at, id"


def channels(*, device: bool, component: bool, resumed: bool) -> str:
    """Channels in order, from :channel on where `resumed`."""
    where = ["device = :device"] if device else []
    where += ["component = :component"] if component else []
    where += [f"({_KEY}) >= (SELECT {_KEY} FROM channel WHERE id = :channel)"] if resumed else []
    return f"""
SELECT id, device, endpoint, component, kind, quantity, source, seconds, unit, tou, sqi
FROM channel {"WHERE " + " AND ".join(where) if where else ""} ORDER BY {_KEY}"""


VALUES: Final = """
SELECT m.at, m.value, m.external, m.condition, m.statuses, v.words, m.load, m.n, load.payload
FROM measured m CROSS JOIN load ON load.id = m.load CROSS JOIN conversion v ON v.id = m.conversion
WHERE m.channel = :channel AND m.at BETWEEN :start AND :end
  AND (m.at, m.load, m.n) > (:at, :load, :n)
  AND m.load <= :as_of AND load.state = 'loaded'
ORDER BY m.at, m.load, m.n"""


def told(*, device: bool, resumed: bool) -> str:
    """Readings of crews and people in order, after :key where `resumed`."""
    where = ["device = :device"] if device else []
    where += [f"({_TOLD}) > (SELECT {_TOLD} FROM crew_measurement WHERE id = :key)"] * resumed
    return f"""
SELECT id, device, body FROM crew_measurement
WHERE {" AND ".join([*where, "at > :start AND at <= :end"])} ORDER BY {_TOLD}"""


TOLD_KEY: Final = "SELECT 1 FROM crew_measurement WHERE id = ?"
NEWEST_LOAD: Final = "SELECT coalesce(max(id), 0) FROM load WHERE state = 'loaded'"
NEWEST_EVENT: Final = "SELECT coalesce(max(id), 0) FROM arrived_event"
EVENTS: Final = f"""
SELECT e.id, {owner_of("e.endpoint")},
       e.endpoint, e.at, e.exception, e.name, e.body, e.load, load.payload,
       e.became, e.event, d.told, d.body, s.started, s.ended
FROM arrived_event e CROSS JOIN load ON load.id = e.load
     LEFT JOIN device_event d ON d.id = e.event
     LEFT JOIN device_spell s ON s.endpoint = d.endpoint AND s.pair = d.pair AND d.pair <> ''
         AND s.started = CASE d.last WHEN 0 THEN d.at ELSE
             (SELECT max(started) FROM device_spell t
              WHERE t.endpoint = d.endpoint AND t.pair = d.pair AND t.ended = d.at) END
WHERE e.id > :after AND e.id <= :until AND e.at > :start AND e.at <= :end
  AND e.load <= :as_of AND load.state = 'loaded'
  AND (:device IS NULL OR e.endpoint = (SELECT endpoint FROM device WHERE id = :device))
ORDER BY e.id LIMIT :limit"""
ARRIVED: Final = """
SELECT payload.id, payload.operation, payload.state, payload.at, payload.finished, payload.bytes,
       CAST(payload.counts AS TEXT), inbox.token
FROM payload LEFT JOIN inbox ON inbox.id = payload.inbox
WHERE payload.at >= ? AND payload.at < ? ORDER BY payload.id"""
