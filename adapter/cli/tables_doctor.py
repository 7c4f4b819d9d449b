"""The table of what the doctor finds."""

from adapter.doctor.findings import FINDINGS


def findings() -> list[tuple[str, ...]]:
    rows = [
        (code, row.area, row.level, row.what, row.why, row.action) for code, row in FINDINGS.items()
    ]
    return [("finding", "of", "level", "what is said", "why it matters", "what to do"), *rows]
