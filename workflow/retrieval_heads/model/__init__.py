"""Models: where they come from, whether they can be measured, how they are loaded."""
