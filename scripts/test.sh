#!/usr/bin/env bash
# One pytest run for each tier; each tier's line at the end says what ran and what was skipped, and why.
# Lanes side by side (the console and the lab's API wait more than they compute, so the console's tests run as three
# tiers), then the lab alone: its guests want both cores.
set -uo pipefail
cd "$(dirname "$0")/.."
select='not long'
limit=40m
[ "${1:-}" = --long ] && select='long or not long' && limit=10h && export BASCULE_LONG=1
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

tier() {
  local name=$1 command started=$SECONDS
  if [ "$name" = kernel ]; then
    command=(.venv/bin/python -m tests.kernel)
  else
    local where=("tests/$name")
    [ "$name" = api ] && where=(tests/lab/api)
    [ "$name" = console ] && where=(tests/console/test_[a-r]*.py)
    [ "$name" = shell ] && where=(tests/console/test_s*.py)
    [ "$name" = screens ] && where=(tests/console/test_[t-z]*.py)
    [ "$name" = lab ] && where=(tests/lab --ignore=tests/lab/api)
    command=(.venv/bin/python -m pytest -q "${where[@]}" -m "$select" --durations=3)
  fi
  echo "== tier $name starts"
  # a job in the background ignores SIGINT, and what it starts too: programs under test must not
  timeout --kill-after=30 "$limit" env --default-signal=INT,QUIT "${command[@]}" >"$logs/$name" 2>&1
  echo $? >"$logs/$name.code"
  echo "== tier $name ended after $((SECONDS - started)) s"
}

lane() {
  for name in "$@"; do tier "$name"; done
}

lane core kube &
lane agent &
lane console &
lane shell &
lane screens &
lane api kernel &
wait
lane lab

failed=0
passed=0
broken=0
skipped=0
lines=()
for name in core kube agent console shell screens api lab kernel; do
  echo
  echo "== tier $name"
  cat "$logs/$name"
  last=$(grep -E '(passed|failed|skipped|error|no tests ran)' "$logs/$name" | tail -n 1)
  count() { grep -oE "[0-9]+ $1" <<<"$last" | grep -oE '[0-9]+' || echo 0; }
  passed=$((passed + $(count passed)))
  broken=$((broken + $(count failed) + $(count error)))
  skipped=$((skipped + $(count skipped)))
  lines+=("$(printf '%-8s %s' "$name" "${last//=/}")")
  # 5: the tier has no test yet
  code=$(cat "$logs/$name.code")
  if [ "$code" != 0 ] && [ "$code" != 5 ]; then failed=1; fi
done
echo
echo "== tiers"
printf '%s\n' "${lines[@]}"
echo "total: $passed passed, $broken failed, $skipped skipped"
exit $failed
