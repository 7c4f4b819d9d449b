"""What is printed of a city's day."""

import json
from collections import Counter
from decimal import Decimal

from adapter.cli.city_day import as_values
from adapter.demo.city import CityReport, Used


def test_the_books_of_a_city_are_json_with_exact_energy() -> None:
    books = CityReport(
        ends=Counter(succeeded=2, missing=1),
        stored_kwh=Decimal("1921889.064"),
        used={"gateway": Used(cpu_s=1.5, memory_mib=350)},
    )
    told = json.loads(json.dumps(as_values(books)))
    assert told["ends"] == {"succeeded": 2, "missing": 1}
    assert told["stored_kwh"] == "1921889.064"
    assert told["used"]["gateway"]["memory_mib"] == 350
    assert told["agree"] is True
    books.disagree("M1: 95 intervals, not 96")
    assert as_values(books)["agree"] is False
