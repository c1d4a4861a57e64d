"""What runs stages: the runner, fusing, clocks, signals, health, metrics."""
