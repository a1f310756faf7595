"""How many cases of bad input there are: each of a kind of its own."""

from collections import Counter

import command_cases
import config_cases
import document_cases
import model_cases
import result_cases
from bad_input_case import Case


def test_there_are_at_least_two_hundred_kinds():
    modules = (command_cases, config_cases, document_cases, model_cases, result_cases)
    tables = [value for module in modules for value in vars(module).values() if isinstance(value, list)]
    tables = [table for table in tables if table and isinstance(table[0], Case)]
    cases = [case for table in tables for case in table]
    assert [kind for kind, number in Counter(case.kind for case in cases).items() if number > 1] == []
    for table in tables:
        # Nor is the same input there under two names; a function that spoils a folder has no other sign than its place.
        assert [given for given, number in Counter(repr(case.given) for case in table).items() if number > 1] == []
    assert len(cases) >= 200
