# The work is in cargo and in .ci/; this only names it.

DEMO := captures/demo/capture.pcap

.PHONY: demo test quick fuzz bench captures

# Builds wsscan and runs it on a capture of four WebSockets behind one nginx, three of which died.
demo:
	.ci/install build
	cargo build --release --locked
	@echo; echo '$$ wsscan -r $(DEMO)'
	@target/release/wsscan -r $(DEMO)

# Everything that continuous integration runs; see .ci/test.
test:
	.ci/install build test
	.ci/test

# The small gates before a commit.
quick:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked

# A minute for every fuzz target.
fuzz:
	fuzz/run.sh 60

# Measures the whole program against its peers and writes benches/RESULTS.md; takes about an hour.
bench:
	python3 benches/compare.py

# Writes the generated captures anew and records the others again (needs root).
captures:
	python3 captures/generate/generate.py
	captures/record/record-all.sh
