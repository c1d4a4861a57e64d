"""From a sample of events to a problem file: what is guessed, why, and how to change it."""
