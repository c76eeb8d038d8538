# Bascule: every target installs what it needs first (scripts/setup.sh, seconds when nothing changed).
PY := .venv/bin/python

.PHONY: install demo test test-long lint bench proto screenshots docs
install:
	@bash scripts/setup.sh
demo: install
	@exec .venv/bin/bascule demo
test: install lint
	@bash scripts/test.sh
test-long: install
	@bash scripts/test.sh --long
lint: install
	@bash scripts/lint.sh
bench: install
	@PYTHONPATH=. $(PY) -m tests.perf $(if $(ONLY),--only $(ONLY))
proto: install
	@bash scripts/proto.sh
screenshots: install
	@bash scripts/screenshots.sh
docs: install
	@bash scripts/docs.sh
