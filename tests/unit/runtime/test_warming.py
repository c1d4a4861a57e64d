"""Compiled code: who waits for it is told so, who need not wait does not, and one process compiles."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from services.warming import COMPILING, explained, warm_up, warming
from shared.models.warm import cache_folder
from tests.kit.toy import toy_problem

HOLDING = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""
COUNTING = """
from threading import Event
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, it):
        compiled.append(it.data["dispatcher"].py_func.__module__)
    def on_end(self, it):
        pass
event.register("numba:compile", Listener())
from services.warming import warm_up
warm_up("binary", ["counts"], Event())
print(sum(name.startswith("shared.") for name in compiled))
"""


def test_a_wait_is_explained_and_its_end_told() -> None:
    lines: list[str] = []
    told = Event()

    def say(line: str) -> None:
        lines.append(line)
        told.set()

    with explained(say, patience_s=0.01):
        assert told.wait(10)
    assert lines[0] == COMPILING and lines[1].startswith("Warm after")


def test_a_short_wait_is_nobodys_business() -> None:
    lines: list[str] = []
    with explained(lines.append, patience_s=60.0):
        pass
    assert lines == []


def test_while_another_process_compiles_one_waits_and_a_stop_ends_that() -> None:
    place = cache_folder() / "all.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with warming(toy_problem(), lambda line: None, Event(), beside=True):
            pass
        stopped = Event()
        waiting = Thread(target=warm_up, args=("binary", ["counts"], stopped))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive(), "it did not wait"
        other.stdin.write("\n")
        other.stdin.flush()
        waiting.join(60)
        assert not waiting.is_alive()


@pytest.mark.slow
def test_of_two_processes_that_start_at_once_one_compiles(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", COUNTING], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    counts = sorted(int(one.communicate()[0]) for one in both)
    assert counts[0] == 0 and counts[1] > 5
