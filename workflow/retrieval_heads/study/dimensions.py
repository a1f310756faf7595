"""What tells one result of a study from another."""

DIMENSIONS = ("model", "method", "question", "context_length")
"""What tells one configuration from another; the columns that rankings and ablation share."""

CELL = ["model", "question", "context_length"]
"""What prompts belong to."""

PUBLISHED = "published"
"""The intervention of results that others published."""
