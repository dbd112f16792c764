"""The log of what crossed the wire."""

import pytest
from gridproof.federation.wire.link import LocalHub, PortKind
from gridproof.federation.wire.recorder import TappedLink, WireLog, read_wire_log
from gridproof.federation.wire.schedule import PLANNER_GRID
from gridproof.scenarios.errors import StoreError


def test_a_tap_hears_what_is_published_and_when(tmp_path) -> None:
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        link = TappedLink(LocalHub({"planner": PLANNER_GRID}).link("planner"), log)
        link.publishes({"plan": PortKind.TEXT, "setpoints": PortKind.RAW})
        link.enter(deadline_s=1.0)
        link.publish("plan", b'{"a": "\xc3\xa9"}')
        link.request(1.0, deadline_s=1.0, awaited="x", whom="y")
        link.publish("setpoints", bytes(range(256)))
        link.publish("setpoints", b"")
        link.close()
    assert list(read_wire_log(path)) == [
        (0.0, "planner/plan", b'{"a": "\xc3\xa9"}'),
        (1.0, "planner/setpoints", bytes(range(256))),
        (1.0, "planner/setpoints", b""),
    ]


def test_a_torn_log_is_read_up_to_the_tear(tmp_path) -> None:
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        log(0.5, "feeder/status", b"{}")
        log(1.5, "feeder/status", b"{...}")
    whole = path.read_bytes()
    whole_messages = list(read_wire_log(path))
    borders = {8, 8 + 14 + 13 + 2}  # of the file's head and the first message
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        seen, torn = [], False
        try:
            seen.extend(read_wire_log(path))  # keeps what came before the tear
        except StoreError:
            torn = True
        assert seen == whole_messages[: int(length >= max(borders))]
        assert torn == (length not in borders)
    path.write_bytes(b"not a log")
    with pytest.raises(StoreError, match="is not a wire log"):
        list(read_wire_log(path))
