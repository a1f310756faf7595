"""How a model is run: its attention seen and changed, contexts read once, answers written in batches."""
