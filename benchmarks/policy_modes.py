"""Policy-mode dispatch, method against method: seconds of planning and cost, one run, in turn.

Each mode is planned for by every method that has a plan, on a copperplate and with the network;
the ratio is to the deterministic dispatch of the same mode and network in the same round.
"""

from __future__ import annotations

import statistics
import sys
from time import process_time

from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import PlanError

ROUNDS = 3
CASES = (
    ("copperplate", "shared", ("deterministic", "gaussian", "cvar", "dro_total", "dro_components")),
    ("three_phase", "shared", ("deterministic", "cvar", "dro_components")),
    ("three_phase", "affine", ("dro_components",)),
)


def planned(mode: str, network: str, response: str, method: str) -> tuple[float, float | None]:
    """Processor seconds of planning, and the cost; None where no plan was found."""
    study = load_study(
        "ieee123-policy-modes",
        [
            f"events.mode={mode}",
            f"planner.network={network}",
            f"planner.response={response}",
            f"planner.method={method}",
        ],
    )
    asked = study.config.planner
    planner, began = make_planner(asked.family, asked.options), process_time()
    try:
        cost = planner.plan(study.scenario).costs["objective"]
    except PlanError:
        return process_time() - began, None
    return process_time() - began, cost


def main() -> int:
    """Print seconds, ratio and cost by mode and method."""
    planned("forecast", "copperplate", "shared", "deterministic")  # libraries, once
    for mode in ("forecast", "weather", "cyber"):
        for network, response, methods in CASES:
            seen: dict[str, list[float]] = {method: [] for method in ("deterministic", *methods)}
            cost: dict[str, float | None] = {}
            for _ in range(ROUNDS):
                for method, taken in seen.items():
                    own = "shared" if method == "deterministic" else response
                    seconds, cost[method] = planned(mode, network, own, method)
                    taken.append(seconds)
            base = statistics.median(seen["deterministic"])
            for method, taken in seen.items():
                middle = statistics.median(taken)
                told = "no plan" if cost[method] is None else f"{cost[method]:.0f} USD"
                print(
                    f"{mode} {network} {response} {method}: {middle:.2f} s, "
                    f"{middle / base:.1f} of deterministic, {told}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
