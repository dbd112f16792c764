"""One compiled circuit in an OpenDSS context of its own: the thin layer over the C library.

Everything hot goes through object handles and plain arrays. A text command is only ever
made of this package's own words and of the scenario's file path. Names of buses and elements,
which may hold anything that OpenDSS can read between quotes, go through handles and properties
(`DssCircuit.add`), which nothing parses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.errors import EngineError, GridproofError
from gridproof.simulator.opendss.compiling import compile_feeder
from gridproof.simulator.opendss.contexts import borrow, give_back, refusal
from numpy.typing import NDArray

__all__ = ["DssCircuit"]

ComplexArray = NDArray[np.complex128]


class DssCircuit:
    """A circuit compiled in its own context, with controls off and taps as first solved.

    Parameters
    ----------
    path
        The feeder's main file.
    tolerance
        Largest per-unit change of a node voltage at which the flow counts as solved.
    max_iterations
        After so many the fixed point counts as not settled.
    """

    def __init__(self, path: str, *, tolerance: float, max_iterations: int) -> None:
        self._lent: Any = borrow()
        self.dss = self._lent.to_dss_python()
        api = self.dss._api_util
        self.ffi, self.raw, self.lib, self._context = api.ffi, api.lib_unpatched, api.lib, api.ctx
        self._properties: dict[str, dict[str, int]] = {}
        self._error = self.lib.Error_Get_NumberPtr()
        try:
            self._compile(path, tolerance, max_iterations)
        except GridproofError:
            self.clear()
            raise

    def _compile(self, path: str, tolerance: float, max_iterations: int) -> None:
        try:
            compile_feeder(self._lent, Path(path))
        except refusal() as error:
            raise EngineError(f"OpenDSS refused {path}: {error}") from error
        self.active = self.dss.ActiveCircuit
        self.text("set mode=snapshot loadmult=1 genmult=1 algorithm=normal controlmode=off")
        self.text(f"set tolerance={tolerance:g} maxiterations={max_iterations:d}")

    # ------------------------------------------------------------------ commands
    def text(self, command: str) -> None:
        """Run one command of our own making; an error of the engine is ours."""
        try:
            self.dss.Text.Command = command
        except Exception as error:
            raise EngineError(f"OpenDSS refused {command!r}: {error}") from error

    def check(self, doing: str) -> None:
        """Raise what the library has noted since the last check.

        Raises
        ------
        EngineError
            With the library's own words.
        """
        if self._lent is None:  # another's circuit may be in this context by now
            raise EngineError(f"the engine was closed before {doing}; make a new one")
        number = self._error[0]
        if number:
            self._error[0] = 0
            words = self.ffi.string(self.lib.Error_Get_Description()).decode(errors="replace")
            raise EngineError(f"OpenDSS failed while {doing}: (#{number}) {words}")

    def clear(self) -> None:
        """Drop the circuit and give its context back; a second time does nothing."""
        lent, self._lent = self._lent, None
        if lent is not None:
            give_back(lent)

    # ------------------------------------------------------------------ elements
    def handles(self, kind: str) -> dict[str, Any]:
        """Map the lower-case names of one class's enabled elements to their handles."""
        found = self._all(kind)
        if found:
            enabled = self.property_number(kind, "enabled")
            found = [handle for handle in found if self.integer(handle, enabled)]
        return {self._name(handle).lower(): handle for handle in found}

    def _all(self, kind: str) -> list[Any]:
        pointer, count = self.ffi.new("void***"), self.ffi.new("int32_t[4]")
        self.raw.Batch_CreateByClassS(self._context, pointer, count, kind.encode())
        self.check(f"listing the class {kind}")
        found = [pointer[0][k] for k in range(count[0])]
        if count[0]:
            self.raw.Batch_Dispose(pointer[0])
        return found

    def _name(self, handle: Any) -> str:
        return str(self.ffi.string(self.raw.Obj_GetName(handle)).decode())

    def add(self, kind: str, name: str, **values: float | str) -> Any:
        """Make an element; no word of it passes the parser of text commands.

        Parameters
        ----------
        kind, name
            Class, and a name of our own.
        values
            Properties in the order they are set in. Whole numbers are integers of OpenDSS's,
            other numbers floats; strings are bus names and choices.

        Returns
        -------
        handle
            Of the new element.
        """
        number = 1 + [str(one).lower() for one in self.dss.Classes].index(kind)
        handle = self.raw.Obj_New(self._context, number, name.encode(), 1, 1)
        self.check(f"adding {kind} {name}")
        for key, value in values.items():
            position = self.property_number(kind, key)
            if isinstance(value, str):
                self.raw.Obj_SetString(handle, position, value.encode(), 0)
            elif isinstance(value, int):
                self.raw.Obj_SetInt32(handle, position, value, 0)
            else:
                self.raw.Obj_SetFloat64(handle, position, value, 0)
            self.check(f"setting {key} of {kind} {name}")
        self.raw.Obj_EndEdit(handle, len(values))
        self.check(f"adding {kind} {name}")
        return handle

    def kinds(self) -> set[str]:
        """Lower-case class names of all enabled circuit elements."""
        names = {name.split(".", 1)[0].lower() for name in self.active.AllElementNames}
        return {kind for kind in names if self.handles(kind)}

    def property_number(self, kind: str, wanted: str) -> int:
        """Position of a property in a class, as the batch calls count them."""
        if kind not in self._properties:
            self.raw.Obj_Activate(self._all(kind)[0], 0)
            names = self.active.ActiveCktElement.AllPropertyNames
            self._properties[kind] = {key.lower(): k + 1 for k, key in enumerate(names)}
        return self._properties[kind][wanted]

    def number(self, handle: Any, position: int) -> float:
        """Value of a numeric property."""
        return float(self.raw.Obj_GetFloat64(handle, position))

    def integer(self, handle: Any, position: int) -> int:
        """Value of an integer property or of a choice."""
        return int(self.raw.Obj_GetInt32(handle, position))

    def set_number(self, handle: Any, position: int, value: float) -> None:
        """Set a numeric property and read it back."""
        self.raw.Obj_SetFloat64(handle, position, value, 0)
        self._read_back(self.number(handle, position), value, handle, position)

    def set_integer(self, handle: Any, position: int, value: int) -> None:
        """Set an integer property and read it back."""
        self.raw.Obj_SetInt32(handle, position, value, 0)
        self._read_back(self.integer(handle, position), value, handle, position)

    def set_numbers(self, handle: Any, position: int, values: Sequence[float]) -> None:
        """Set a property that is a row of numbers."""
        row = self.ffi.new("double[]", list(values))
        self.raw.Obj_SetFloat64Array(handle, position, row, len(values), 0)
        self.check(f"setting property {position} of {self._name(handle)}")

    def _read_back(self, found: float, wanted: float, handle: Any, position: int) -> None:
        name = self._name(handle)
        self.check(f"setting property {position} of {name}")
        if found != wanted:
            raise EngineError(f"{name}: property {position} reads back {found}, set to {wanted}")

    def node_refs(self, handle: Any) -> IntArray:
        """(conductor,) positions in the voltage vector, terminal after terminal; 0 is ground."""
        pointer, count = self.ffi.new("int32_t**"), self.ffi.new("int32_t[4]")
        self.raw.Alt_CE_Get_NodeRef(pointer, count, handle)
        refs = np.array(self.ffi.unpack(pointer[0], count[0]), np.int64)
        self.raw.DSS_Dispose_PInteger(pointer)
        self.check("reading the nodes of an element")
        return refs

    def power_kva(self, handle: Any) -> complex:
        """Read what an element draws at its first terminal in the last solution, kW and kvar."""
        pointer, count = self.ffi.new("double**"), self.ffi.new("int32_t[4]")
        self.raw.Alt_CE_Get_Powers(pointer, count, handle)
        flat = np.array(self.ffi.unpack(pointer[0], count[0])).view(np.complex128)
        self.raw.DSS_Dispose_PDouble(pointer)
        self.check("reading the power of an element")
        return complex(flat[: len(flat) // self.terminals(handle)].sum())

    def terminals(self, handle: Any) -> int:
        """Count the terminals of an element."""
        return int(self.raw.Alt_CE_Get_NumTerminals(handle))

    def yprim(self, handle: Any) -> ComplexArray:
        """(conductor, conductor) primitive admittance matrix, siemens."""
        pointer, count = self.ffi.new("double**"), self.ffi.new("int32_t[4]")
        self.raw.Alt_CE_Get_YPrim(pointer, count, handle)
        flat = np.array(self.ffi.unpack(pointer[0], count[0])).view(np.complex128)
        self.raw.DSS_Dispose_PDouble(pointer)
        self.check("reading a primitive admittance matrix")
        order = round(len(flat) ** 0.5)
        return flat.reshape(order, order).T  # the library is column-major

    def switch(self, handle: Any, *, closed: bool, what: str) -> None:
        """Open or close every terminal of an element and read the state back.

        Raises
        ------
        EngineError
            If the element is in another state afterwards.
        """
        act = self.raw.Alt_CE_Close if closed else self.raw.Alt_CE_Open
        for terminal in range(1, self.terminals(handle) + 1):
            if self.is_open(handle, terminal) == closed:
                act(handle, terminal, 0)
            if self.is_open(handle, terminal) == closed:
                self.check(f"switching {what}")
                raise EngineError(
                    f"{what}: told to {'close' if closed else 'open'}, reads back the opposite; "
                    "a control of the feeder's own may hold it"
                )
        self.check(f"switching {what}")

    def is_open(self, handle: Any, terminal: int) -> bool:
        """Whether any phase of a terminal is open."""
        return bool(self.raw.Alt_CE_IsOpen(handle, terminal, 0))

    # ------------------------------------------------------------------ solving
    def solve_cold(self) -> None:
        """Solve from the fixed start, forgetting every earlier solution."""
        self.lib.YMatrix_Set_SolutionInitialized(0)
        self.lib.Solution_SolveNoControl()
        self.check("solving the held plan")

    def set_source(self, handle: Any, v_pu: float) -> None:
        """Set the magnitude a source holds; unlike the property, this leaves Y as it is."""
        self.raw.Obj_Activate(handle, 1)  # not by name: a disabled one may have the same
        self.lib.Vsources_Set_pu(v_pu)
        self.check("setting a source's magnitude")
        found = self.number(handle, self.property_number("vsource", "pu"))
        if found != v_pu:
            raise EngineError(f"a source reads back {found} pu, set to {v_pu}")

    def solver(self) -> Callable[[], None]:
        """Make ``solve()``: one flow from the fixed start, nothing checked."""
        forget, run = self.lib.YMatrix_Set_SolutionInitialized, self.lib.Solution_SolveNoControl

        def solve() -> None:
            forget(0)
            run()

        return solve

    def status(self) -> Callable[[], tuple[bool, int]]:
        """Make ``status()``: did the last flow converge, and after how many iterations."""
        converged, iterations = self.lib.Solution_Get_Converged, self.lib.Solution_Get_Iterations
        return lambda: (converged() != 0, iterations())

    def mapping(self) -> tuple[Callable[[], ComplexArray], Callable[[ComplexArray], ComplexArray]]:
        """Make the two halves of one iteration of the engine's own, nothing checked.

        Returns
        -------
        start
            The (1 + node,) voltages, volt, where each load is the impedance that stands for
            it in the matrix.
        step
            ``Y⁻¹ i(v)``: the voltages that the currents at the voltages ``v`` give.
        """
        lib, live = self.lib, self.voltages()
        out = np.zeros(len(live), complex)
        address = self.ffi.cast("double *", out.ctypes.data)

        def start() -> ComplexArray:
            lib.YMatrix_ZeroInjCurr()
            lib.YMatrix_GetSourceInjCurrents()
            lib.YMatrix_SolveSystem(address)
            return out.copy()

        def step(v: ComplexArray) -> ComplexArray:
            live[:] = v
            lib.YMatrix_ZeroInjCurr()
            lib.YMatrix_GetSourceInjCurrents()
            lib.YMatrix_GetPCInjCurr()
            lib.YMatrix_SolveSystem(address)
            return out.copy()

        return start, step

    @property
    def nodes(self) -> tuple[str, ...]:
        """(node,) names ``bus.number`` in lower case; node ``k`` is voltage ``k + 1``."""
        return tuple(name.lower() for name in self.active.YNodeOrder)

    def voltages(self) -> ComplexArray:
        """(1 + node,) view of the live voltage vector, volt; entry 0 is ground.

        Valid until the admittance matrix is rebuilt; fetch it again after each switching.
        """
        pointer = self.ffi.new("double**")
        self.lib.YMatrix_getVpointer(pointer)
        size = 16 * (self.active.NumNodes + 1)
        return np.frombuffer(self.ffi.buffer(pointer[0], size), dtype=np.complex128)
