"""Which heads are ablated, how, and what the model does without them."""
