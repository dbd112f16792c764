"""Lines of so little impedance that a double cannot hold what they carry.

What flows into a line is ``y (v_i - v_j)``. A double holds a voltage to ``ε|v|``, so what leaves
a node is known to ``ε |y| |v|²`` and no better, neither to the solver of the flow nor to who reads
its solution: at a millimetre of busbar at 46 kV, 1e-10 ohm, to a kilowatt, which bends voltages by
1e-5 pu. Such a line is lengthened until that doubt is a tenth of a watt. At 46 kV it then has
1.6e-6 ohm, over which 1000 A lose 6e-8 pu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["lengthen_stiff"]

_DOUBT_KW = 1e-4  # a tenth of what tells a load of 1 kW that is not served


def lengthen_stiff(context: Any) -> None:
    """Lengthen every such line of a compiled circuit; one that stands open, too."""
    if not int(context.Basic.NumCircuits()):
        return
    lines, place = context.Lines, context.Lines.First()
    while place:
        ohm = np.abs(np.ravel(lines.RMatrix()) + 1j * np.ravel(lines.XMatrix())).max(initial=0.0)
        ohm *= lines.Length()
        context.Circuit.SetActiveBus(str(lines.Bus1()).split(".")[0])
        kv = float(context.Bus.kVBase())
        least = np.finfo(float).eps * 1e3 * kv**2 / _DOUBT_KW
        if np.isfinite(ohm) and 0.0 < ohm < least:
            lines.Length(lines.Length() * least / ohm)
        place = lines.Next()
