# The only commands to know. Each sets up what it needs by itself and says what is missing when it cannot.
.PHONY: help demo test check bench

help:
	@echo 'make demo   a stand-in cluster, a relay and an agent on this machine, and a sign-in link to open'
	@echo 'make test   everything: format, lints, policy, chart, console, Rust tests, the browser suite'
	@echo 'make check  the fast part of make test: no processes, no browser'
	@echo 'make bench  echo latency, throughput, memory and session starts, against direct exec'

demo:
	@tests/tools/setup.sh demo
	@tests/demo/demo.sh

test:
	@tests/tools/setup.sh test
	@tests/tools/stages.sh test

check:
	@tests/tools/setup.sh check
	@tests/tools/stages.sh check

bench:
	@tests/tools/setup.sh bench
	@tests/tools/bench.sh
