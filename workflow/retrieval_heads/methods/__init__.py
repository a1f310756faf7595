"""The head-scoring methods, one file and one class each."""
