"""The error tree: what the command line relies on."""

from __future__ import annotations

import pytest
from gridproof.scenarios import errors
from gridproof.scenarios.proof import Proof, Termination


def test_every_public_error_is_in_the_tree():
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.GridproofError)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ConfigError", 2),
        ("ScenarioError", 2),
        ("StoreError", 2),
        ("NoPlanExists", 3),
        ("PlanNotFound", 3),
        ("FederateLost", 4),
        ("DeadlinePassed", 4),
        ("EngineError", 1),
    ],
)
def test_exit_codes(name, code):
    assert getattr(errors, name).exit_code == code


def test_a_config_error_holds_every_fault():
    assert errors.ConfigError("one").faults == ("one",)
    many = errors.ConfigError(f"fault {k}" for k in range(3))
    assert many.faults == ("fault 0", "fault 1", "fault 2")
    assert str(many) == "fault 0\nfault 1\nfault 2"


def test_a_missing_plan_says_what_was_shown():
    proof = Proof(termination=Termination.TIME_LIMIT, incumbent=float("inf"), bound=12.5)
    assert errors.PlanNotFound("no plan within 1 s", proof).proof.bound == 12.5


def test_a_passed_deadline_says_what_whom_and_how_long():
    error = errors.DeadlinePassed("set-points", "planner", 2.0)
    assert str(error) == "waited 2.0 s for set-points from planner; it did not come"
    assert (error.awaited, error.whom, error.waited_s) == ("set-points", "planner", 2.0)
