"""Some realizations side by side, as one value that compiled loops reckon with.

`LANES` doubles stand in one vector: a loop says what becomes of a realization, and the processor
does it to all of them. Every operation is one of IEEE 754, lane by lane: nothing is fused, no sum
is taken in another order, and no lane sees another. In which registers a vector stands is the
compiler's affair; what stands there is the same on every processor.

Only compiled code (`scenarios.compiling`) has such values; arrays hold them as `LANES` doubles one
after the other in their last axis. numba keeps what it compiled for as long as the file of a loop
is as it was, whatever has changed here: see CONTRIBUTING.md.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

__all__ = ["LANES", "above", "alike", "below", "choose", "load", "root", "store"]

LANES = 16
"""Realizations side by side; a block of fewer is filled up with its last."""


class _Lanes(types.Type):
    def __init__(self, name: str, element: Any) -> None:
        super().__init__(name=name)
        self.vector = ir.VectorType(element, LANES)


class _Numbers(_Lanes):
    def __init__(self) -> None:
        super().__init__("lanes", ir.DoubleType())


class _Answers(_Lanes):
    """Yes or no, of each lane."""

    def __init__(self) -> None:
        super().__init__("lanes' answers", ir.IntType(1))


@register_model(_Numbers)
@register_model(_Answers)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: _Lanes) -> None:
        super().__init__(manager, kind, kind.vector)


_NUMBERS, _ANSWERS = _Numbers(), _Answers()


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    """Put one number into every lane; what is lanes already is left."""
    if kind == _NUMBERS:
        return value
    vector, at = ir.Constant(_NUMBERS.vector, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(vector, value, at(0))
    return builder.shuffle_vector(first, vector, ir.Constant(ir.VectorType(at, LANES), None))


def _numbers(*kinds: Any) -> bool:
    return all(kind in {_NUMBERS, types.float64} for kind in kinds)


def _between(make: Callable[[Any, Any, Any], Any], answer: _Lanes) -> Any:
    """Make a function of two values, each lanes or a number, that compiled code can call."""

    def typed(_: Any, one: Any, other: Any) -> Any:
        if not _numbers(one, other):
            return None

        def code(_context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pairs = zip(values, signature.args, strict=True)
            return make(builder, *(_spread(builder, value, kind) for value, kind in pairs))

        return answer(one, other), code

    return intrinsic(typed)


def _sign(name: str, *signs: Any) -> None:
    act = _between(lambda builder, a, b: getattr(builder, name)(a, b), _NUMBERS)

    def reckon(one, other):  # type: ignore[no-untyped-def]  # unannotated, as numba asks
        if _NUMBERS in {one, other} and _numbers(one, other):
            return lambda one, other: act(one, other)  # noqa: PLW0108  (numba compiles it)
        return None

    for sign in signs:
        overload(sign)(reckon)


_sign("fadd", operator.add, operator.iadd)
_sign("fsub", operator.sub, operator.isub)
_sign("fmul", operator.mul, operator.imul)
_sign("fdiv", operator.truediv, operator.itruediv)


def _beyond(sign: str) -> Any:
    def make(builder: Any, one: Any, other: Any) -> Any:
        fresh = builder.and_(
            builder.fcmp_unordered("uno", one, one), builder.fcmp_ordered("ord", other, other)
        )
        return builder.or_(builder.fcmp_ordered(sign, one, other), fresh)

    return _between(make, _ANSWERS)


above = _beyond(">")
"""``above(a, b)``: where ``a`` is larger than ``b``, or no number while ``b`` is one."""

below = _beyond("<")
"""``below(a, b)``: where ``a`` is less than ``b``, or no number while ``b`` is one."""


@intrinsic  # type: ignore[untyped-decorator]
def choose(_: Any, where: Any, one: Any, other: Any) -> Any:
    """``choose(where, a, b)``: ``a`` where the answer is yes, else ``b``."""
    if where != _ANSWERS or not _numbers(one, other):
        return None

    def code(_context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs = zip(values[1:], signature.args[1:], strict=True)
        return builder.select(values[0], *(_spread(builder, *pair) for pair in pairs))

    return _NUMBERS(where, one, other), code


@intrinsic  # type: ignore[untyped-decorator]
def alike(_: Any, number: Any) -> Any:
    """``alike(x)``: one number in every lane."""
    if number != types.float64:
        return None

    def code(_context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(builder, values[0], signature.args[0])

    return _NUMBERS(number), code


@intrinsic  # type: ignore[untyped-decorator]
def root(_: Any, number: Any) -> Any:
    """``root(a)``: the square root in every lane."""
    if number != _NUMBERS:
        return None

    def code(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        vector = _NUMBERS.vector
        kind = ir.FunctionType(vector, [vector])
        name = f"llvm.sqrt.v{LANES}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

    return _NUMBERS(number), code


def _pointer(context: Any, builder: Any, array: Any, signature: Any, values: Any) -> Any:
    """Where the lanes that begin at an index stand."""
    held = context.make_array(array)(context, builder, values[0])
    index = cgutils.unpack_tuple(builder, values[1], count=len(signature.args[1]))
    place = cgutils.get_item_pointer(context, builder, array, held, index, wraparound=False)
    return builder.bitcast(place, _NUMBERS.vector.as_pointer())


def _holds(array: Any, index: Any) -> bool:
    """Whether an array has doubles side by side, and an index as many numbers as it has axes."""
    return (
        isinstance(array, types.Array)
        and array.dtype == types.float64
        and array.layout == "C"
        and len(getattr(index, "types", ())) == array.ndim
    )


@intrinsic  # type: ignore[untyped-decorator]
def load(_: Any, array: Any, index: Any) -> Any:
    """``load(array, (…, b))``: the lanes of an array that begin at an index."""
    if not _holds(array, index):
        return None

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _pointer(context, builder, array, signature, values)
        return builder.load(place, align=8)

    return _NUMBERS(array, index), code


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """``store(array, (…, b), a)``: put lanes, or one number into all of them, where they begin."""
    if not _holds(array, index) or not _numbers(value):
        return None

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _pointer(context, builder, array, signature, values)
        builder.store(_spread(builder, values[2], signature.args[2]), place, align=8)
        return context.get_dummy_value()

    return types.void(array, index, value), code
