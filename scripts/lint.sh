#!/usr/bin/env bash
# ruff, mypy strict, layers, and the house's size rules (DESIGN 9).
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
PYTHONPATH=core:kube:agent:console:lab .venv/bin/lint-imports
.venv/bin/python scripts/sizes.py
