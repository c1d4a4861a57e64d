"""From valid events to the numbers that a model sees: one definition, for serving and training."""
