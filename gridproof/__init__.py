"""gridproof: resilience plans for distribution grids, tried against AC physics.

The one name this distribution takes in the world: the four folders of the house are found
beneath it (``gridproof.optimizer`` and so on), so that a folder ``optimizer/`` of a user's own
stays theirs. An installed package holds them; in a checkout they lie beside this folder, where
people look.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
if not (_HERE / "scenarios").is_dir():
    __path__.append(str(_HERE.parent))
