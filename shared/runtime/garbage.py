"""CPython's collector of reference cycles, told what a stream of batches is like."""

import gc

_NEW_OBJECTS = 50_000


def relax_collector() -> None:
    """For a process whose set-up is done and whose work is batches.

    What is there by now stays, so full collections need not walk it. A batch makes thousands of
    containers that are gone, without any cycle, when the next one comes: looked through at every 700th
    new one, which is the default, they cost a quarter of the score path (`make bench-kafka`).
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
