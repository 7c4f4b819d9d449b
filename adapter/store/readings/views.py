"""THE VIEWS FOR PEOPLE: what stands in each, column by column. They are in the schemas of the two
files, only read, and keep their columns."""

from typing import Final

FILES: Final = {
    "v_meter": "gateway.db",
    "v_meter_group": "gateway.db",
    "v_meter_day": "gateway.measurements.db",
    "v_meter_last": "gateway.measurements.db",
}
"""In which file each is, where the store's is called gateway.db."""

# fmt: off
VIEWS: Final = (
    # view           column           meaning
    ("v_meter",       "device",        "a meter that is installed and has an endpoint"),
    ("v_meter",       "head_end",      "the head end that it is at; empty or null: this gateway's"),
    ("v_meter",       "endpoint",      "what the head end calls it"),
    ("v_meter",       "serial",        "serial number"),
    ("v_meter",       "service_point", "where it is"),
    ("v_meter",       "installed_at",  "since when, UTC"),
    ("v_meter_group", "group",         "a group"),
    ("v_meter_group", "device",        "a meter in it"),
    ("v_meter_day",   "day",           "local day, in the zone of `contract.time_zone`"),
    ("v_meter_day",   "device",        "a meter of which anything came of that day"),
    ("v_meter_day",   "expected",      "interval values that a whole day has"),
    ("v_meter_day",   "intervals",     "interval values that have a number"),
    ("v_meter_day",   "registers",     "register values that have a number"),
    ("v_meter_day",   "doubtful",      "of both, those with a condition below 500000"),
    ("v_meter_day",   "last_at",       "END of the newest value of the day, UTC"),
    ("v_meter_day",   "arrived",       "when the last value of the day came first, UTC"),
    ("v_meter_day",   "delay_s",       "so many seconds after the end of the day, or before it"),
    ("v_meter_last",  "device",        "a meter of which anything ever came"),
    ("v_meter_last",  "last_at",       "END of its newest value, UTC"),
    ("v_meter_last",  "last_arrival",  "when a new value of it came last, UTC"),
)
# fmt: on
