"""What every test needs and no product code has: a bounded event loop, a test of many cases."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

from adapter.server import event_loop

T = TypeVar("T")
SECONDS: Final = 60.0


def run(coroutine: Coroutine[object, object, T], *, seconds: float = SECONDS) -> T:
    """Run one coroutine to its end, or fail after `seconds`."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await coroutine

    return event_loop.run(bounded())


@contextmanager
def every_case() -> Iterator[Callable[[object], AbstractContextManager[None]]]:
    """Gives `case`: what fails `with case(name)` is told at the end, with what failed in others."""
    failed: list[BaseException] = []
    tried = 0

    @contextmanager
    def case(name: object) -> Iterator[None]:
        nonlocal tried
        tried += 1
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            error.add_note(f"in the case {name}")
            failed.append(error)

    yield case
    assert tried, "a test of no case proves nothing"
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {tried} cases", failed)


Test = Callable[..., None]


def for_every(
    names: str | Sequence[str],
    cases: Iterable[Any],
    *,
    ids: Iterable[str] | Callable[[Any], str] | None = None,
) -> Callable[[Test], Test]:
    """One test of all cases, which tells each that fails; takes what `parametrize` takes.

    For cases by the dozen that take a moment each: a test of its own takes pytest longer than that.
    What is no name of a case is a fixture, which all cases share.
    """
    parameters = [each.strip() for each in (names.split(",") if isinstance(names, str) else names)]
    every = list(_named(cases, ids, alone=len(parameters) == 1))
    assert every, "a test of no case proves nothing"

    def decorate(test: Test) -> Test:
        assert not inspect.iscoroutinefunction(test), "a coroutine test has `every_case`"
        signature = inspect.signature(test)
        fixtures = [each for name, each in signature.parameters.items() if name not in parameters]

        @functools.wraps(test)
        def of_every_case(**given: object) -> None:
            with every_case() as case:
                for name, values in every:
                    with case(name):
                        test(**given, **dict(zip(parameters, values, strict=True)))

        vars(of_every_case)["__signature__"] = signature.replace(parameters=fixtures)
        return of_every_case

    return decorate


def _named(
    cases: Iterable[Any], ids: Iterable[str] | Callable[[Any], str] | None, *, alone: bool
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each case with its name: that of `pytest.param`, of `ids`, or its values as text."""
    names = None if ids is None or callable(ids) else iter(ids)
    for case in cases:
        if isinstance(case, ParameterSet):
            values, name = tuple(case.values), str(case.id or "")
        else:
            values, name = (case,) if alone else tuple(case), ""
        if names is not None:
            name = next(names)
        yield name or " ".join(map(ids if callable(ids) else str, values)), values
