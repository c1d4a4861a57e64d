"""History as files that other tools read."""
