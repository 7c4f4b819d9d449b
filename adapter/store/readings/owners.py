"""Whose an endpoint is, as a piece of SQL."""

from typing import Final

_OWNER: Final = """
(SELECT CASE WHEN sum(CASE gone WHEN 0 THEN 1 ELSE 0 END) = 1
             THEN max(CASE gone WHEN 0 THEN id END)
             WHEN count(*) = 1 THEN max(id) END
 FROM (SELECT d.id AS id, coalesce(
           (SELECT min(i.removed) FROM install_event i WHERE i.device = d.id), 0) AS gone
       FROM device d WHERE d.endpoint = {}))"""
"""Whose an endpoint is: of the one device that is not removed, or of the only one there was."""


def owner_of(endpoint: str) -> str:
    """`endpoint` is SQL: a column, or a parameter."""
    return _OWNER.format(endpoint)
