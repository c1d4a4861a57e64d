"""Fakes that implement ports, seeded streams, a crashing log, `check_stage`."""
