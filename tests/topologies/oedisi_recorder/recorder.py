"""An OEDISI component as somebody else writes one: reads each message as OEDISI's own type."""

import json
from pathlib import Path

import helics as h
from oedisi.types import data_types
from oedisi.types.helics_config import HELICSFederateConfig

TYPES = {
    "voltages_magnitude": data_types.VoltagesMagnitude,
    "powers_real": data_types.PowersReal,
    "powers_imag": data_types.PowersImaginary,
    "switch_states": data_types.SwitchStates,
}
config = HELICSFederateConfig.model_validate_json(Path("static_inputs.json").read_text())
mapping = json.loads(Path("input_mapping.json").read_text())
info = h.helicsCreateFederateInfo()
config.apply_to_federate_info(info)
info.core_name = config.name
info.core_init = "--federates=1"
h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_DELTA, 0.01)
federate = h.helicsCreateValueFederate(config.name, info)
inputs = {port: federate.register_subscription(key, "") for port, key in mapping.items()}
with Path("recorded.jsonl").open("w") as file:
    federate.enter_executing_mode()
    granted = federate.request_time(h.HELICS_TIME_MAXTIME)
    while granted < h.HELICS_TIME_MAXTIME:
        for port, one in inputs.items():
            if one.is_updated():
                message = TYPES[port].model_validate_json(one.string)
                file.write(json.dumps([granted, port, message.model_dump(mode="json")]) + "\n")
        granted = federate.request_time(h.HELICS_TIME_MAXTIME)
federate.disconnect()
h.helicsCloseLibrary()
