"""The problem file: one YAML that declares what to predict from what, and how to stay right."""
