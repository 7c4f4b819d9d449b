"""Places for callers who wait: one person has one share, under all names."""

import pytest

from adapter.model.names import marked
from adapter.server.credentials import Caller
from adapter.web.api.problems import ProblemRaised
from adapter.web.api.waiting_places import WaitingPlaces


def _caller(name: str, subject: str) -> Caller:
    return Caller(name=marked(name, "https://issuer.example", subject), roles=frozenset())


async def test_two_names_of_one_person_have_one_share() -> None:
    places = WaitingPlaces(2)
    with places.taken(_caller("alice", "1")):
        with pytest.raises(ProblemRaised, match="this key has 1"):
            places.check(_caller("bob", "1"))
        places.check(_caller("alice", "2"))
    places.check(_caller("bob", "1"))
