"""A study: its config, how it is checked, and what its readers call things."""
