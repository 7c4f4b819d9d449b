"""The tests that docs/testing.md shows, run as they stand there."""

from tests.docs.pages import blocks

(_CODE,) = (each for each in blocks("docs/testing.md") if each.file == "test_integration.py")
exec(compile(_CODE.text, str(_CODE), "exec"))
