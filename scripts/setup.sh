#!/usr/bin/env bash
# Install what Bascule needs on a bare Debian 12: apt packages, then a venv that sees Debian's bcc.
# Seconds when nothing changed. Without root: the pure parts only, said in one line.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
  echo "setup: not Linux: the lab and the agent need Linux namespaces; on this machine 'pip install -e .[console]' gives the console against a remote cluster" >&2
  exit 1
fi

PACKAGES="python3-venv python3-bpfcc python3-libvirt libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-utils qemu-system-x86 busybox-static iproute2 iputils-ping procps lz4 kmod librsvg2-bin tmux"
missing=""
for p in $PACKAGES; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "setup: not root: cannot install$missing; the lab, the agent and their tests need root; the console and 'pytest tests/core tests/kube tests/console' still work" >&2
  else
    echo "setup: installing$missing" >&2
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  fi
fi

want=$(cat pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/bascule-setup 2>/dev/null || true)" != "$want" ]; then
  echo "setup: building .venv" >&2
  [ -x .venv/bin/python ] || /usr/bin/python3 -m venv --system-site-packages .venv
  .venv/bin/pip install -q --disable-pip-version-check -e '.[dev]'
  echo "$want" > .venv/bascule-setup
fi

if [ "$(id -u)" = 0 ]; then
  .venv/bin/python -m bascule_lab fetch
fi
