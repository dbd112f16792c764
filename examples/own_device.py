"""A protocol of your own for a device: a line of JSON out, a line of JSON back.

``gridproof run STUDY --device west=127.0.0.1:6000 --set devices.kind=own_device:LineDevice`` with
this file's folder on PYTHONPATH. Run it by itself to have such a device: ``python own_device.py``.
"""

import json
import socket
import sys

import numpy as np
from gridproof.federation.field.device import DeviceLostError, DeviceRefusedError, Place


class LineDevice:
    """Keeps the contract of ``gridproof.federation.field.device.Device``."""

    def __init__(self, place: Place) -> None:
        self._place, self._line = place, None

    def command(self, p_kw: float, q_kvar: float) -> None:
        """Set the power of all phases together."""
        self._ask({"p_kw": p_kw, "q_kvar": q_kvar})

    def measure(self) -> tuple[np.ndarray, np.ndarray]:
        """Read totals of all phases; three numbers each would be phases a, b, c."""
        answer = self._ask({})
        return np.array([answer["p_kw"]]), np.array([answer["q_kvar"]])

    def release(self) -> None:
        """Leave it at nothing: it has no state of its own to go back to."""
        self._ask({"p_kw": 0.0, "q_kvar": 0.0})

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _ask(self, question: dict) -> dict:
        at = (self._place.host, self._place.port)
        try:
            if self._line is None:
                with socket.create_connection(at, self._place.deadline_s) as link:
                    self._line = link.makefile("rw")  # keeps the connection, and its deadline
            self._line.write(json.dumps(question) + "\n")
            self._line.flush()
            answer = json.loads(self._line.readline())
        except (OSError, ValueError) as error:
            self._line = None
            raise DeviceLostError(f"{at}: {error}") from error
        if "refused" in answer:
            raise DeviceRefusedError(f"{at}: {answer['refused']}")
        return answer


def serve(port: int = 6000) -> None:
    """Be such a device, one that follows at once."""
    output = {"p_kw": 0.0, "q_kvar": 0.0}
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            with listener.accept()[0] as link, link.makefile("rw") as line:
                for question in line:
                    output.update(json.loads(question))
                    line.write(json.dumps(output) + "\n")
                    line.flush()


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
