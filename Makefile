# `make help` lists what there is. Everything that is missing is installed first: as root, on Debian.
SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
PYTEST := .venv/bin/python -m pytest
# Four workers, on two processors: containers mostly wait, and a virtual machine keeps one busy.
# A file runs in one worker, since its tests share a machine; tests/conftest.py has the long ones come first.
SPREAD := -n 4 --dist loadfile --no-loadscope-reorder

PACKAGES := python3-venv iproute2 nftables procps util-linux mount wireguard-tools wireguard-go tcpdump \
	curl dnsmasq-base mmdebstrap debian-archive-keyring ca-certificates nmap
VM_PACKAGES := qemu-system-x86 e2fsprogs cpio kmod xz-utils zstd

.DEFAULT_GOAL := help
.PHONY: help venv packages vm-packages test test-long unit netns container vm lint golden pages bench screenshots demo leak-table fault-table lab clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

test: venv packages vm-packages ## all tests, every tier: some 20 minutes on two processors
	$(PYTEST) --cov=wgconfine.config $(SPREAD) -m "not long" tests/vm tests/lab tests/container tests/netns tests/golden tests/unit

test-long: venv packages vm-packages ## fault tables, soaks, scale: what takes longer
	$(PYTEST) $(SPREAD) -m long tests

unit: venv ## pure tests, golden files and linters
	$(PYTEST) --cov=wgconfine.config tests/unit tests/golden

netns: venv packages ## the runtime in network namespaces, without systemd
	$(PYTEST) tests/netns

container: venv packages ## real systemd as PID 1, WireGuard in userspace
	$(PYTEST) -m "container and not long" tests/lab tests/container

vm: venv packages vm-packages ## kernels of their own, with the kernel's WireGuard
	$(PYTEST) -m "vm and not long" tests/lab tests/vm

lint: venv ## ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

golden: venv ## write the expected files of the golden tests anew; read the difference
	$(PYTEST) tests/golden --update-golden

pages: venv ## write man pages, completions and the schema of the settings anew
	.venv/bin/python -m pages

bench: venv packages vm-packages ## measurements, as ratios taken side by side
	.venv/bin/python -m bench

screenshots: venv packages ## the terminal picture of README, from a real run in a throw-away lab
	.venv/bin/python -m tests.screenshots

demo: venv packages ## the main job, seen working in a throw-away lab
	.venv/bin/python -m demo

leak-table: venv packages ## try every way out on every systemd, and write docs/leaks.md from that
	.venv/bin/python -m tests.leaks

fault-table: venv packages vm-packages ## have every fault strike on every machine, and write docs/faults.md from that
	.venv/bin/python -m tests.faulttable

lab: venv packages ## a shell on a machine of the lab, with wgconfine installed
	.venv/bin/python -m lab shell trixie --install .

venv: .venv/.made ## a virtual environment with wgconfine and the tools

.venv/.made: pyproject.toml | packages
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --editable '.[dev]'
	@touch $@

# Says something for every package that is not installed; one that was never heard of is an error.
missing = $(shell dpkg-query -W -f '$${db:Status-Status}\n' $(1) 2>&1 | grep -vx installed)

packages: $(if $(call missing,$(PACKAGES)),install-packages)
vm-packages: $(if $(call missing,$(VM_PACKAGES)),install-vm-packages)

install-packages install-vm-packages:
	apt-get update --quiet=2
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
		$(if $(findstring vm,$@),$(VM_PACKAGES),$(PACKAGES)) >/dev/null

clean: ## remove what make made here; the lab's cache stays
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis artefacts
