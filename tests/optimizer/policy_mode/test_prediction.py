"""The event-location matrix: from a table, from a log, and what is wrong with either."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.prediction import (
    estimate,
    per_hour,
    read_event_log,
    read_probabilities,
)
from gridproof.scenarios.errors import ConfigError
from scipy.stats import beta

EVENTS, PLACES = ("trip", "storm"), ("47", "76")


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_by_names(tmp_path: Path) -> None:
    path = write(tmp_path, "event,76,47\nstorm,0.5,\ntrip,0.25,1\n")
    found = read_probabilities(path, events=EVENTS, locations=PLACES)
    assert found.events == ("storm", "trip")
    assert found.locations == ("76", "47")
    np.testing.assert_array_equal(found.probability, [[0.5, 0.0], [0.25, 1.0]])


def test_a_year_is_8760_hours_that_must_all_pass() -> None:
    hourly = per_hour(np.array([0.0, 1e-12, 0.3, 1.0]), "year")
    np.testing.assert_allclose(1.0 - (1.0 - hourly[2]) ** 8760, 0.3, rtol=1e-9)
    assert hourly[0] == 0.0
    assert hourly[1] == pytest.approx(1e-12 / 8760)  # not lost beside 1
    assert hourly[3] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("event,47\ntrip,1.2\n", "row 2 (trip), column 2 (47): '1.2' must be a probability"),
        ("event,47\ntrip,-0.1\n", "row 2 (trip), column 2 (47): '-0.1'"),
        ("event,47\ntrip,nan\n", "row 2 (trip), column 2 (47): 'nan'"),
        ("event,47\ntrip,often\n", "row 2 (trip), column 2 (47): 'often'"),
        ("event,48\ntrip,0.1\n", "row 1, column 2: unknown location '48'; the study has 47, 76"),
        ("event,47\nflood,0.1\n", "row 2: unknown event 'flood'; the study has trip, storm"),
        ("event,47\ntrip,0.1,0.2\n", "row 2 (trip): 3 cells; the first row has 2"),
        ("event,47\ntrip,0.1\ntrip,0.1\n", "column 1: event 'trip' is given twice"),
        ("event,47,47\ntrip,0.1,0.1\n", "row 1: location '47' is given twice"),
        ("", "is empty"),
    ],
)
def test_each_wrong_cell_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_probabilities(write(tmp_path, text), events=EVENTS, locations=PLACES)


def test_every_fault_is_told_at_once_and_so_is_a_wrong_time_base(tmp_path: Path) -> None:
    path = write(tmp_path, "event,47,48\ntrip,2,3\nflood,0,0\n")
    with pytest.raises(ConfigError) as caught:
        read_probabilities(path, events=EVENTS, locations=PLACES)
    assert len(caught.value.faults) == 4
    path = write(tmp_path, "event,47\ntrip,0.5\n")
    with pytest.raises(ConfigError, match='per "hour" or per "year"'):
        read_probabilities(path, events=EVENTS, locations=PLACES, per="day")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_probabilities(tmp_path / "no.csv", events=EVENTS, locations=PLACES)


def test_a_log_counts_hours_not_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "event,location,hour\ntrip,47,3\ntrip,47,3.5\ntrip,47,9\nstorm,76,0\n")
    counts = read_event_log(path, events=EVENTS, locations=PLACES, hours=100.0)
    np.testing.assert_array_equal(counts, [[2, 0], [0, 1]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("flood,47,3", "row 2, column event: unknown 'flood'"),
        ("trip,48,3", "row 2, column location: unknown '48'"),
        ("trip,47,100", "row 2, column hour: '100' must lie in [0, 100)"),
        ("trip,47,soon", "row 2, column hour: 'soon'"),
    ],
)
def test_a_wrong_line_of_a_log_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, f"event,location,hour\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_event_log(path, events=EVENTS, locations=PLACES, hours=100.0)


def test_an_estimate_is_the_posterior_mean_with_its_quantiles() -> None:
    counts = np.array([[0, 7], [100, 50]])
    found = estimate(counts, hours=100, events=EVENTS, locations=PLACES, prior=(1.0, 9.0))
    for at in np.ndindex(2, 2):
        law = beta(1.0 + counts[at], 109.0 - counts[at])
        assert found.probability[at] == pytest.approx(law.mean())
        assert found.lower[at] == pytest.approx(law.ppf(0.025))
        assert found.upper[at] == pytest.approx(law.ppf(0.975))
    assert 0.0 < found.lower[0, 0] < found.upper[0, 0] < 0.1  # never seen is not never


@pytest.mark.parametrize(
    ("counts", "given", "message"),
    [
        ([[101, 0], [0, 0]], {}, "event trip, location 47: seen in 101 hours of 100"),
        ([[0, 0], [0, -1]], {}, "event storm, location 76: seen in -1 hours"),
        ([[0, 0], [0, 0]], {"prior": (0.0, 1.0)}, "prior"),
        ([[0, 0], [0, 0]], {"confidence": 1.0}, "confidence = 1"),
    ],
)
def test_an_impossible_estimate_is_refused(
    counts: list[list[int]], given: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        estimate(np.array(counts), hours=100, events=EVENTS, locations=PLACES, **given)  # type: ignore[arg-type]
