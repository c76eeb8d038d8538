#!/usr/bin/env bash
# Regenerate core/bascule/protocol/gen from agent.proto; the committed files are reproduced byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m grpc_tools.protoc -Ibascule/protocol/gen=core/bascule/protocol \
  --python_out=core --pyi_out=core --grpc_python_out=core bascule/protocol/gen/agent.proto
