"""Planner and feeder on two threads, Ctrl-C in the main one."""

import _thread
import signal
import threading

import pytest
from gridproof.federation.members.session import SessionSettings, run_session


@pytest.mark.parametrize("transport", ["local", "inproc", "zmq"])
def test_ctrl_c_stops_both_and_keeps_finished_batches(fakes, scenario, plan, transport) -> None:
    third = threading.Event()

    class Watched(fakes.ListSink):
        def write(self, *parts):
            super().write(*parts)
            if len(self.batches) == 3:
                third.set()
                _thread.interrupt_main(signal.SIGINT)

    sink = Watched()
    ranges = fakes.batches(200_000, 4)
    with pytest.raises(KeyboardInterrupt):
        run_session(
            fakes.planner_job(scenario, plan),
            fakes.feeder_job(scenario, sink, ranges),
            SessionSettings(transport=transport),
        )
    assert third.is_set()
    assert 3 <= len(sink.batches) < len(ranges)
    assert sink.indices == list(range(4 * len(sink.batches)))
