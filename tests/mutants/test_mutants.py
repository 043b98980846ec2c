"""The mutants still fit the code they are to break; `python -m tests.mutants` tries them."""

import ast

import pytest

from tests.mutants.__main__ import mutated
from tests.mutants.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_is_a_program(mutant: Mutant) -> None:
    ast.parse(mutated(mutant))


def test_mutants_have_names_of_their_own() -> None:
    names = [mutant.name for mutant in MUTANTS]

    assert len(set(names)) == len(names)
