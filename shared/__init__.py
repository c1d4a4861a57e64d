"""The parts that services share; see docs/ARCHITECTURE.md."""
