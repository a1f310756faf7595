"""Results of others, and results for others."""
