"""The process that fits: it imports once, then forks one child a job.

`python -m services.trainer.worker TASK` (the problem's task: `binary`, ...) reads one fit a line from
standard input and answers one line each. A child has limits that the kernel keeps: a timer that kills
it, and an address space. However a child ends, there is a durable result, so that every replay sees the
same; only when this process is told to end (its input is closed) is a running job dropped without one,
to be fitted anew later.
"""

import ctypes
import gc
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, cast

import msgspec
import numpy as np

from services.trainer.journal import Directory
from services.trainer.request import Answer, FitRequest, FitResult, Task, failed, rows_of
from shared.durable import write_durably
from shared.errors import HeadraceError, Reject
from shared.evaluation.baselines import replayed
from shared.lean import later, without
from shared.models.arrival import unpack_arrival, view_width
from shared.models.port import F64
from shared.models.port import Task as ModelTask
from shared.models.prequential import compile_walk
from shared.models.rows import matrix
from shared.models.trees_anchor import compile_traversal
from shared.problem.spec import Problem

# scikit-learn takes both along: half of its imports, for nothing that a fit calls
with without("pandas"), later("scipy.stats"):
    from services.trainer.acceptance import rehearsed
    from services.trainer.fit import fit

NICENESS = 10
LATENCY_ROWS = 64
_PR_SET_PDEATHSIG = 1
_DONE, _NO_DISK = 0, 2
_CHUNK_BYTES = 65_536
_WATCH_MS = 200


def main() -> None:
    """Serve tasks until standard input is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, signal.SIG_IGN
        )  # the run that started us decides, by closing our input
    os.nice(NICENESS)
    with _ending_with_input():
        _warm_up(cast(ModelTask, sys.argv[1]))
    gc.freeze()  # what is imported by now is not copied by children
    _say(Answer(cpu_seconds=_cpu_seconds()))
    for line in _lines():
        _say(_serve(msgspec.json.decode(line, type=Task)))


def _warm_up(task: ModelTask) -> None:
    """Load the compiled code that every child needs, once."""
    compile_walk(task)
    compile_traversal()
    none = np.zeros(1, np.int64)
    replayed(np.zeros((1, 1)), np.zeros(1), none, none)


@contextmanager
def _ending_with_input() -> Iterator[None]:
    """End when our input is closed meanwhile: on a busy machine compiling takes minutes, and whoever
    was killed in that time would leave us behind.
    """
    warm = threading.Event()
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP)

    def watch() -> None:
        while not warm.is_set():
            if any(event & select.POLLHUP for _, event in poll.poll(_WATCH_MS)):
                os._exit(0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        warm.set()
        watcher.join()  # no child is forked beside a thread


def _serve(task: Task) -> Answer:
    """Run one task in a child; its answer, with the result on disk."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(task)
    os.close(write)
    if not _ended(read):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        sys.exit(0)
    os.close(read)
    _, status = os.waitpid(pid, 0)
    error = ""
    if os.waitstatus_to_exitcode(status) != _DONE:
        try:
            _store(task, failed(_why(task, os.waitstatus_to_exitcode(status))))
        except HeadraceError as refused:
            error = str(refused)
    return Answer(job=task.job, cpu_seconds=_cpu_seconds(), error=error)


def _child(task: Task) -> NoReturn:
    """Fit under limits, store the result, end; nothing of the parent's is run on the way out."""
    code = _NO_DISK
    try:
        _die_with_parent()
        _limit(task)
        _store(task, _fitted(task))
        code = _DONE
    except BaseException:  # noqa: BLE001  the child ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _fitted(task: Task) -> FitResult:
    """The result; whatever goes wrong in a fit is a failed job, not a crash."""
    try:
        request = msgspec.msgpack.decode(Path(task.request).read_bytes(), type=FitRequest)
        trials = Directory(Path(task.result).with_suffix(".trials"))
        result = fit(request, trials)
        trials.forget()
        result.board["fit_seconds"] = round(time.process_time(), 3)
        return _checked(request, result)
    except MemoryError:
        return failed(_too_large(task))
    except Exception as error:  # noqa: BLE001  any failure of a fit is recorded
        traceback.print_exc()
        return failed(f"the fit broke off: {type(error).__name__}: {error} (see {task.log})")


def _checked(request: FitRequest, result: FitResult) -> FitResult:
    """What was accepted on held rows, on trial as the scorer would serve it."""
    if result.artefact is None:
        return result
    x, view = _inputs(request)
    problem = Problem.model_validate_json(request.problem)
    width = 1 if problem.task == "regression" else max(2, len(result.classes))
    evidence, why = rehearsed(
        result.artefact, x, view, width, problem.acceptance, time.process_time
    )
    board = {**result.board, **evidence}
    if why:
        return FitResult(state="failed", reason=f"accepted, but {why}", board=board)
    return msgspec.structs.replace(result, board=board)


def _inputs(request: FitRequest) -> tuple[F64, F64]:
    """The newest events as they were served: their features, and their view where it is whole."""
    rows, views = [], []
    for outcome in rows_of(request.outcomes[-LATENCY_ROWS:]):
        with suppress(Reject):
            width = view_width(len(request.features))
            views.append(unpack_arrival([outcome.arrival or ""], width).view)
            rows.append(outcome.features)
    return matrix(rows, request.features), np.concatenate(views).astype(np.float64)


def _store(task: Task, result: FitResult) -> None:
    write_durably(Path(task.result), msgspec.msgpack.encode(result))


def _why(task: Task, code: int) -> str:
    """An exit code of a child that left no result, in words."""
    if code == -signal.SIGALRM:
        return (
            f"stopped after {task.seconds:g} seconds (retraining.budget.seconds); "
            "use fewer rows or candidates, or allow more time"
        )
    if code < 0:
        name = signal.Signals(-code).name
        return f"the fit was ended by {name}; out of memory? ({_too_large(task)}; see {task.log})"
    return f"the fit ended without a result (exit code {code}; see {task.log})"


def _too_large(task: Task) -> str:
    return f"the fit may use {task.memory_mb:,} MB (retraining.budget.memory_mb) and needed more"


def _limit(task: Task) -> None:
    """The kernel ends us after the time allowed, and refuses memory beyond what is allowed on top."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, task.seconds)
    most = _address_space_bytes() + task.memory_mb * 1024 * 1024
    with suppress(ValueError, OSError):  # a smaller hard limit is in force already
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _address_space_bytes() -> int:
    """What this process has mapped so far (libraries mostly); 0 where /proc does not say."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[0]) * resource.getpagesize()


def _die_with_parent() -> None:
    """Linux: no child outlives its killed parent; elsewhere the timer ends it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(_NO_DISK)


def _lines() -> Iterator[bytes]:
    """Lines of standard input, read without a buffer that `select` would not see."""
    rest = b""
    while chunk := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _ended(read: int) -> bool:
    """Wait for the child to end (its end of the pipe closes); False if our input closed first."""
    poll = select.poll()
    poll.register(read, select.POLLHUP)
    poll.register(sys.stdin.fileno(), select.POLLHUP)
    while True:
        if events := poll.poll():
            return any(descriptor == read for descriptor, _ in events)


def _cpu_seconds() -> float:
    own = time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


def _say(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
