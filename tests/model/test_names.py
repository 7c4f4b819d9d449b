"""Names of those who act: what is one, and which two may be one person's."""

from adapter.model.names import OURS, alike, marked, name_problem
from tests.support import for_every

ALIKE = [
    ("ann", "Ann"), ("ann", "\u00e1nn"), ("lisa", "1isa"), ("lisa", "lIsa"), ("a b", "a  b"),
    ("arnold", "amold"), ("vvalter", "walter"), ("ann-m", "ann\u2010m"), ("ann-m", "ann_m"),
    ("ann.m", "ann m"), ("alice.smith", "alicesmith"), ("o'brien", "obrien"),
    ("ANN", "ann #0123456789abcdef"),
    (marked("Ann", "https://a", "7"), marked("Robert", "https://a", "7")),
    (marked("Ann", "https://a", "7"), marked("Ann", "https://a", "8")),
]  # fmt: skip


@for_every(("one", "other"), ALIKE)
def test_names_that_are_the_same_at_a_glance_may_be_one_persons(one: str, other: str) -> None:
    assert alike(one, other)
    assert alike(other, one)


def test_two_people_are_two() -> None:
    assert not alike("ann", "anna")
    assert not alike("ann", "bob")
    assert not alike(marked("Ann", "https://a", "7"), marked("Bob", "https://a", "8"))
    assert not alike(marked("Ann", "https://a", "7"), marked("Bob", "https://b", "7"))
    assert not alike(marked("Ann", "https://a", "7"), "bob")


@for_every("name", ["ann", "\u00c5sa", "j.doe", "ann-2", "Ann Miller", "ann@utility.example"])
def test_a_name_of_latin_letters_is_one(name: str) -> None:
    assert name_problem(name) is None


@for_every(
    "name",
    ["", "ann\u2010m", "ann\u00b7m", "a\u2019nn",
     "ann ", " ann", "ann.", "a\u200bnn", "\u0251nn", "\u029fisa", "\u0131isa", "\u0430nn",
     "l\nisa", *sorted(OURS), "Gateway", "head-End"],
)  # fmt: skip
def test_what_looks_like_another_or_like_the_gateway_is_none(name: str) -> None:
    assert name_problem(name) is not None
