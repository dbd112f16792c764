"""An emulated DER, a client of it, and a study that has it as its battery."""

import pytest
from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating
from gridproof.federation.field.modbus_client import (
    SunspecDevice,
)
from gridproof.federation.studies.study import load_study


@pytest.fixture
def emulator():
    served = Emulator(EmulatedDer(Rating(p_kw=90.0, q_kvar=70.0)))
    yield served
    served.close()


@pytest.fixture
def device(emulator):
    found = SunspecDevice("127.0.0.1", emulator.port, deadline_s=1.0)
    yield found
    found.close()


@pytest.fixture
def study(toy, emulator):
    """The toy with its smaller DER, which follows, as a device."""
    address = f"devices.at.west=127.0.0.1:{emulator.port}"
    return load_study(toy, [address, "campaign.samples=30"])
