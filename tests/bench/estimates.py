"""False alarms of estimated regression on equal versions, and alarms where one is worse, by streams.

`python -m tests.bench.estimates [STREAMS]` prints a table; blocks of 500, labels 400 events late.
"""

import sys

from tests.unit.evaluation.test_unlabelled import contested, equal, fires

N = 8_000


def main(streams: int) -> None:
    rows = {
        "equal, honest": lambda seed: equal(N, seed),
        "equal, errors in runs of 50": lambda seed: equal(N, seed, runs=50),
        "equal, one too sure, one too little": lambda seed: equal(N, seed, over=1.5),
        "better, no shift": lambda seed: contested(N, N, seed),
        "better, then inputs on which it is worse": lambda seed: contested(N, N - 1_000, seed),
        "the same, but sure of itself there": lambda seed: contested(
            N, N - 1_000, seed, honest=False
        ),
    }
    sys.stdout.write(
        "| streams | blocks looked at | alarms | streams with one |\n|---|---|---|---|\n"
    )
    for name, made in rows.items():
        looked = alarms = hit = 0
        for seed in range(streams):
            found = made(seed)
            fired = fires(found)
            looked += sum(e.blocks >= 4 for e in found)
            alarms += len(fired)
            hit += bool(fired)
        sys.stdout.write(f"| {name} | {looked:,} | {alarms} | {hit} of {streams} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
