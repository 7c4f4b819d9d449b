"""A test of many cases hides none of them."""

import inspect

import pytest

from tests.support import every_case, for_every


def test_every_case_is_tried_and_each_that_fails_is_named() -> None:
    tried: list[int] = []

    @for_every("number", range(5), ids=lambda number: f"case {number}")
    def test(number: int) -> None:
        tried.append(number)
        assert number % 2 == 0
        if number == 4:
            pytest.fail("four")

    with pytest.raises(BaseExceptionGroup, match="3 of 5 cases") as failed:
        test()
    assert tried == [0, 1, 2, 3, 4]
    notes = [each.__notes__[-1] for each in failed.value.exceptions]
    assert notes == ["in the case case 1", "in the case case 3", "in the case case 4"]


def test_what_is_no_name_of_a_case_is_a_fixture() -> None:
    seen: list[tuple[str, int, str]] = []

    @for_every("letter", ["a", "b"])
    @for_every(("number", "word"), [(1, "one"), pytest.param(2, "two", id="second")])
    def test(letter: str, number: int, word: str, tmp: str) -> None:
        seen.append((letter, number, word + tmp))

    assert list(inspect.signature(test).parameters) == ["tmp"]
    test(tmp="!")
    assert seen == [("a", 1, "one!"), ("a", 2, "two!"), ("b", 1, "one!"), ("b", 2, "two!")]


def test_a_test_of_no_case_is_none() -> None:
    with pytest.raises(AssertionError, match="proves nothing"):
        for_every("number", [])


async def test_a_coroutine_test_tells_every_case_that_fails() -> None:
    async def test() -> None:
        with every_case() as case:
            for number in range(3):
                with case(number):
                    assert number == 1

    with pytest.raises(BaseExceptionGroup, match="2 of 3 cases"):
        await test()
