#!/usr/bin/env bash
# Build the documentation site into build/docs; a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m sphinx -q -W --keep-going -b html docs build/docs
echo "docs: build/docs/index.html"
