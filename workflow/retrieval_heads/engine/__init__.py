"""How a model is run: attention read and changed, contexts run once, answers decoded in batches, gradients taken.

The rest of the package uses :class:`retrieval_heads.engine.runner.Runner`, and what its methods take and give.
"""
