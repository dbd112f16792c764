"""A planner in plain helics: publishes a plan file, then scales it with the demand it serves.

    GRIDPROOF_KEY=KEY python planner_plain_helics.py PLAN.json HOST:PORT

Nothing of gridproof is imported; docs/wire.md is all it takes to write this.
"""

import json
import os
import struct
import sys
import time

import helics as h
import numpy as np

HEADER = struct.Struct("<4sHHQQIIdII")  # magic, version, kind, sequence, first, count, round, …
plan_file, (host, port) = sys.argv[1], sys.argv[2].rsplit(":", 1)
key = os.environ["GRIDPROOF_KEY"]
with open(plan_file, encoding="utf-8") as file:  # noqa: PTH123
    plan = json.load(file)

info = h.helicsCreateFederateInfo()
h.helicsFederateInfoSetCoreTypeFromString(info, "zmq")
h.helicsFederateInfoSetCoreName(info, f"planner-{os.getpid()}")
core = f"--federates=1 --brokerkey={key} --broker_address=tcp://{host} --brokerport={port}"
h.helicsFederateInfoSetCoreInitString(info, core)
h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_PERIOD, 1.0)
h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_TERMINATE_ON_ERROR, True)
fed = h.helicsCreateValueFederate("planner", info)
text, raw = h.HELICS_DATA_TYPE_STRING, h.HELICS_DATA_TYPE_RAW
kinds = {"plan": text, "switch_states": text, "setpoints": raw, "status": text}  # all four
out = {port: h.helicsFederateRegisterPublication(fed, port, kinds[port]) for port in kinds}
keys = ("catalogue", "realizations", "status")
into = {key: h.helicsFederateRegisterSubscription(fed, f"feeder/{key}") for key in keys}


def say(phase, sequence, done=0):  # noqa: ANN001, ANN201, D103
    status = {"federate": "planner", "phase": phase, "sequence": sequence, "done": done}
    h.helicsPublicationPublishString(out["status"], json.dumps(status))


try:
    h.helicsFederateEnterExecutingMode(fed)
    say("planning", 1)
    now, answered = h.helicsFederateRequestTime(fed, 1.0), 0
    catalogue = json.loads(h.helicsInputGetString(into["catalogue"]))
    zeta, load, *_ = catalogue["realizations"]
    _, injected, _, formers = catalogue["setpoints"]  # found, p, q, source_v
    slots = [(plan["ders"][i[:-2]], "abc".index(i[-1])) for i in injected["ids"]]
    p_kw, q_kvar = (np.array([d[n][0][k] for d, k in slots]) for n in ("p_kw", "q_kvar"))
    held = [plan["ders"][name]["source_v_pu"][0] or 0.0 for name in formers["ids"]]
    blocks, live = catalogue["blocks_of_loads"], plan["energized_blocks"]
    served = np.array([live[blocks[i.rpartition(".")[0]]][0] for i in load["ids"]])
    h.helicsPublicationPublishString(out["plan"], json.dumps(plan))
    say("planned", 2)
    while True:
        now = h.helicsFederateRequestTime(fed, now + 1.0)
        if json.loads(h.helicsInputGetString(into["status"]))["phase"] == "done":
            break
        frame = h.helicsInputGetBytes(into["realizations"])
        _, _, _, sequence, first, count, again, _, width, step = HEADER.unpack_from(frame)
        rows = np.frombuffer(frame, "<f8", offset=HEADER.size).reshape(count, width)
        asked_kw = rows[:, len(zeta["ids"]) :][:, : len(load["ids"])]
        demand_kw = asked_kw[:, served].sum(axis=1)  # a dead block asks, and is given nothing
        share = demand_kw[:, None] / p_kw.sum()  # generation follows the demand
        parts = [np.ones_like(share), share * p_kw, share * q_kvar, np.tile(held, (count, 1))]
        body = np.hstack(parts)
        head = (b"GPRF", 1, 2, sequence, first, count, again, time.time(), body.shape[1], step)
        h.helicsPublicationPublishBytes(out["setpoints"], HEADER.pack(*head) + body.tobytes())
        answered += count
    say("done", 3, answered)
    h.helicsFederateDisconnect(fed)
except Exception as error:
    h.helicsFederateGlobalError(fed, 4, f"planner failed: {error}")  # or it looks like a leave
    raise
finally:
    h.helicsCloseLibrary()
