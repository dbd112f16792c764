"""A source of loads in plain helics: multiples of nominal from a CSV, 16 realizations a message.

    gridproof launch STUDY --set campaign.sampler=federate --set campaign.batch=16 \
        --source "python loads_plain_helics.py LOADS.csv {broker}"

The CSV has a column for each uncertain load, a row for each realization.
"""

import csv
import json
import os
import sys
from pathlib import Path

import helics as h

ROWS = 16  # as many as an exchange has, [campaign] batch, or more
source, (host, port) = Path(sys.argv[1]), sys.argv[2].rsplit(":", 1)
with source.open(encoding="utf-8", newline="") as file:
    ids, *rows = csv.reader(file)

info = h.helicsCreateFederateInfo()
h.helicsFederateInfoSetCoreTypeFromString(info, "zmq")
h.helicsFederateInfoSetCoreName(info, f"loads-{os.getpid()}")
key = os.environ["GRIDPROOF_KEY"]
core = f"--federates=1 --brokerkey={key} --broker_address=tcp://{host} --brokerport={port}"
h.helicsFederateInfoSetCoreInitString(info, core)
h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_PERIOD, 1.0)
fed = h.helicsCreateValueFederate("loads", info)
out = h.helicsFederateRegisterPublication(fed, "realizations", h.HELICS_DATA_TYPE_STRING)
try:
    h.helicsFederateEnterExecutingMode(fed)
    for first in range(0, len(rows), ROWS):
        h.helicsFederateRequestTime(fed, first // ROWS + 1.0)  # one message a second, not more
        multiple = [[float(cell) for cell in row] for row in rows[first : first + ROWS]]
        message = {"first": first, "ids": ids, "multiple": multiple}
        h.helicsPublicationPublishString(out, json.dumps(message))
    h.helicsFederateDisconnect(fed)
except Exception as error:
    h.helicsFederateGlobalError(fed, 4, f"loads failed: {error}")  # or it looks like a leave
    raise
finally:
    h.helicsCloseLibrary()
