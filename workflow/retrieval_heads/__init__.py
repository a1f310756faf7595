"""Which attention heads of a language model fetch a fact from a long context?

All logic of the workflow, importable and testable without Snakemake. Each folder is a concern:
study, tables, data, model, engine, methods, ablation, analysis, exchange, figures, findings, comparison. Imports run
one way, from the last of them to the first. Only preflight.py, which checks everything before any work, and what is for
users (api.py, cli.py) import from all.
"""

import sys

from retrieval_heads.errors import end_script

# Snakemake gives a rule's script this before the script imports anything.
if hasattr(getattr(sys.modules["__main__"], "snakemake", None), "rule"):
    sys.excepthook = end_script
