"""How loads follow their voltage."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import cast

__all__ = ["LoadModel"]


class LoadModel(StrEnum):
    """How a load's power follows its voltage: ``Σ share · |v|^exponent`` of its nominal.

    Beside the four named ones there is ``exponential A B`` (`exponential`) and ``zip …``
    (`polynomial`), each a value of this kind that is made when it is asked for.
    """

    CONSTANT_POWER = "constant_power"
    CONSTANT_IMPEDANCE = "constant_impedance"
    CONSTANT_CURRENT = "constant_current"
    VOLTAGE_REDUCTION = "voltage_reduction"  # p follows |v|, q follows |v|²: OpenDSS model 4

    @classmethod
    def _missing_(cls, value: object) -> LoadModel | None:
        kind, *numbers = str(value).split()
        if len(numbers) != {"exponential": 2, "zip": 6}.get(kind):
            return None
        [float(number) for number in numbers]  # a ValueError is the right answer to a word
        made = str.__new__(cls, str(value))
        made._name_ = made._value_ = str(value)
        return cast("LoadModel", cls._value2member_map_.setdefault(str(value), made))

    @classmethod
    def exponential(cls, active: float, reactive: float) -> LoadModel:
        """``p`` follows ``|v|^active`` and ``q`` ``|v|^reactive``."""
        named = {pair: model for model, pair in _NAMED_EXPONENTS.items()}
        known = named.get((active, reactive))
        return cls(known or f"exponential {active!r} {reactive!r}")

    @classmethod
    def polynomial(cls, active: Sequence[float], reactive: Sequence[float]) -> LoadModel:
        """ZIP: shares of constant impedance, current and power, of ``p`` and of ``q``."""
        return cls(" ".join(("zip", *(repr(float(share)) for share in (*active, *reactive)))))

    @property
    def active(self) -> tuple[tuple[float, float], ...]:
        """Share and exponent of each term of ``p``."""
        return _terms(self)[0]

    @property
    def reactive(self) -> tuple[tuple[float, float], ...]:
        """Share and exponent of each term of ``q``."""
        return _terms(self)[1]


_NAMED_EXPONENTS = {
    "constant_power": (0.0, 0.0),
    "constant_impedance": (2.0, 2.0),
    "constant_current": (1.0, 1.0),
    "voltage_reduction": (1.0, 2.0),
}
_Terms = tuple[tuple[float, float], ...]


@cache
def _terms(model: str) -> tuple[_Terms, _Terms]:
    kind, *numbers = str(model).split()
    if kind == "zip":
        shares = [float(number) for number in numbers]
        active, reactive = (
            tuple((share, e) for share, e in zip(part, (2.0, 1.0, 0.0), strict=True) if share)
            for part in (shares[:3], shares[3:])
        )
        return active, reactive
    own = [float(number) for number in numbers] or _NAMED_EXPONENTS[kind]
    return ((1.0, own[0]),), ((1.0, own[1]),)
