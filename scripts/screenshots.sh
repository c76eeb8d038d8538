#!/usr/bin/env bash
# Screenshots of every screen into screenshots/, on the running lab, or on one that is brought up and taken down.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! .venv/bin/python -m bascule_lab status >/dev/null 2>&1; then
  trap '.venv/bin/python -m bascule_lab down >&2' EXIT
  .venv/bin/python -m bascule_lab up >&2
fi
.venv/bin/python scripts/screenshots.py
