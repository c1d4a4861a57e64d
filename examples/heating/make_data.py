"""Writes heating.csv: four rooms for five days, as a spreadsheet with German settings exports it."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

ROOMS = ("bath", "kitchen", "living", "office")
STEPS, STEP = 240, timedelta(minutes=30)


def main() -> None:
    """One row a room and half hour; every 40th outside temperature is unknown."""
    r = np.random.default_rng(11)
    inside = dict.fromkeys(ROOMS, 20.0)
    with Path(__file__).with_name("heating.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(["time", "room", "outside (°C)", "inside (°C)", "window", "heating"])
        for step in range(STEPS):
            time = datetime(2025, 1, 6) + step * STEP
            outside = -2.0 + 5.0 * np.sin((step % 48 - 18) / 48 * 2 * np.pi) + r.normal(0, 0.4)
            for place, room in enumerate(ROOMS):
                is_open = r.random() < 0.1
                on = inside[room] < 20.5 + 0.4 * place - 1.5 * is_open
                shown = "?" if r.random() < 1 / 40 else f"{outside:.1f}".replace(".", ",")
                now = f"{inside[room]:.2f}".replace(".", ",")
                window = "open" if is_open else "closed"
                when = time.strftime("%d.%m.%Y %H:%M")
                writer.writerow([when, room, shown, now, window, "on" if on else "off"])
                loss = 0.03 * (inside[room] - outside) + 0.8 * is_open
                inside[room] += 1.3 * on - loss + r.normal(0, 0.25)


if __name__ == "__main__":
    main()
