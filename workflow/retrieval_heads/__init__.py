"""Which attention heads of a language model fetch a fact from a long context?

All logic of the workflow, importable and testable without Snakemake. The modules follow the order of the workflow:
documents → prompts → scoring → rankings → ablation → analysis → figures → report.
"""
