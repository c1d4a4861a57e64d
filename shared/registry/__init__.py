"""What a model is allowed to be: its manifest, signature, life, and which version is live."""
