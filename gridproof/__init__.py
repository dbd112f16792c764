"""gridproof: resilience plans for distribution grids, tried against AC physics.

::

    import gridproof as gp

    study = gp.load("ieee37-networked", {"uncertainty.spread": 0.25})
    plan = gp.plan(study)
    print(gp.try_plan(study, plan, samples=500).report)

The one name this distribution takes in the world: the four folders of the house are found
beneath it (``gridproof.optimizer`` and so on), so that a folder ``optimizer/`` of a user's own
stays theirs. An installed package holds them; in a checkout they lie beside this folder, where
people look.
"""

from pathlib import Path
from typing import Any

__all__ = ["draw", "load", "plan", "prove", "replay", "report", "run", "try_plan"]

_HERE = Path(__file__).resolve().parent
if not (_HERE / "scenarios").is_dir():
    __path__.append(str(_HERE.parent))


def __getattr__(name: str) -> Any:
    """Hand on what `gridproof.federation.api` offers, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"gridproof has no {name}; it offers {', '.join(__all__)}")
    from gridproof.federation import api  # noqa: PLC0415  (libraries that take a second)

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
