"""Two studies side by side: what changed in claims and rankings, for other seeds, models or versions."""
