"""From rankings and ablated answers to estimates and tests. Nothing here knows of a model."""
