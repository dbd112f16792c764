"""One device behind an MQTT broker: JSON, a number in each question and the same in its answer.

======================================  =========  ==============================================
topic                                   who        payload
======================================  =========  ==============================================
``gridproof/<der>/command``             campaign   ``{"number": 7, "p_kw": 60.0, "q_kvar": -5.0}``
``gridproof/<der>/read``                campaign   ``{"number": 8}``
``gridproof/<der>/release``             campaign   ``{"number": 9}``
``gridproof/<der>/answer``              device     ``{"number": 8, "p_kw": …, "q_kvar": …}``
======================================  =========  ==============================================

An MQTT broker says nothing of whether anybody listens, and may keep what was said long ago: only
an answer with the number of the question counts, nothing is retained, and numbers begin anew
where nobody else's are.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
from typing import Any

import numpy as np
from gridproof.federation.field.device import DeviceLostError, DeviceRefusedError, Place
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError

try:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
except ImportError as missing:  # an optional dependency
    raise ConfigError(
        '[devices] kind = "mqtt" needs the MQTT client, which is not installed; '
        "pip install 'gridproof[mqtt]'"
    ) from missing

__all__ = ["PASSWORD", "USER", "MqttDevice"]

USER, PASSWORD = "GRIDPROOF_MQTT_USER", "GRIDPROOF_MQTT_PASSWORD"
"""Environment variables: a study is no place for a password."""
_KEEPALIVE_S = 10
_LONGEST = 4096  # bytes of an answer


class MqttDevice:
    """A `Device` that answers by MQTT.

    Parameters
    ----------
    place
        The broker's address, the DER whose topics it speaks on, and the deadline.
    """

    def __init__(self, place: Place) -> None:
        self.address = f"{place.host}:{place.port} {place.der}"
        self._place, self._topic = place, f"gridproof/{place.der}"
        self._client: Client | None = None
        self._changed = threading.Condition()
        self._answers: dict[int, bytes] = {}
        self._heeded = False
        self._number = secrets.randbits(40)

    def command(self, p_kw: float, q_kvar: float) -> None:
        """Send set-points and wait for their answer; see `Device`."""
        self._ask("command", {"p_kw": p_kw, "q_kvar": q_kvar})

    def measure(self) -> tuple[FloatArray, FloatArray]:
        """Ask for the outputs; see `Device`."""
        answer = self._ask("read", {})
        return self._numbers(answer, "p_kw"), self._numbers(answer, "q_kvar")

    def release(self) -> None:
        """Say that no set-point is in force any more; see `Device`."""
        self._ask("release", {})

    def close(self) -> None:
        """Let go of the connection; see `Device`."""
        client, self._client, self._heeded = self._client, None, False
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _ask(self, what: str, said: dict[str, float]) -> dict[str, Any]:
        client = self._connected()
        self._number += 1
        payload = json.dumps({"number": self._number, **said}, allow_nan=False)
        if client.publish(f"{self._topic}/{what}", payload).rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.close()
            raise DeviceLostError(f"{self.address}: {what} was not sent; the broker is gone")
        with self._changed:
            number, deadline_s = self._number, self._place.deadline_s
            if not self._changed.wait_for(lambda: number in self._answers, deadline_s):
                raise DeviceLostError(
                    f"{self.address}: no answer to {what} within {deadline_s:g} s"
                )
            answer: dict[str, Any] = json.loads(self._answers.pop(number))
        if "refused" in answer:
            raise DeviceRefusedError(f"{self.address}: {what}: {str(answer['refused'])[:200]}")
        return answer

    def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected() and self._heeded:
            return self._client
        self.close()
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = self._place.deadline_s
        if os.environ.get(USER):
            client.username_pw_set(os.environ[USER], os.environ.get(PASSWORD))
        client.on_connect = self._joined
        client.on_subscribe = self._subscribed
        client.on_message = self._heard
        self._client = client
        try:
            client.connect(self._place.host, self._place.port, keepalive=_KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self.close()
            raise DeviceLostError(f"{self.address}: no connection: {error}") from error
        client.loop_start()
        with self._changed:
            if not self._changed.wait_for(lambda: self._heeded, self._place.deadline_s):
                said = f"the broker did not let us in within {self._place.deadline_s:g} s"
                raise DeviceLostError(f"{self.address}: {said}")
        return client

    def _joined(self, client: Client, *_: object) -> None:
        client.subscribe(f"{self._topic}/answer")

    def _subscribed(self, *_: object) -> None:
        with self._changed:
            self._heeded = True
            self._changed.notify_all()

    def _heard(self, _client: object, _user: object, message: MQTTMessage) -> None:
        """Keep what answers the question that is open; on the client's own thread."""
        with self._changed:
            try:
                number = json.loads(message.payload[:_LONGEST])["number"]
            except (ValueError, TypeError, KeyError):
                return
            if number == self._number:
                self._answers = {number: bytes(message.payload)}
                self._changed.notify_all()

    def _numbers(self, answer: dict[str, Any], name: str) -> FloatArray:
        """Read one number, or three, that are numbers."""
        found = answer.get(name)
        values: list[Any] = found if isinstance(found, list) else [found]
        fine = all(type(one) in (int, float) and math.isfinite(float(one)) for one in values)
        if not fine or len(values) not in (1, 3):
            raise DeviceRefusedError(
                f"{self.address}: {name} is {str(found)[:60]}; one number or three are asked",
                DeviceFault.NO_NUMBER,
            )
        return np.array(values, float)
