# `make` lists the targets. Each does all that it needs; none needs another to be run first.
.DEFAULT_GOAL := help
.PHONY: help setup build test demo bench peers

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## fetch libtorch into .libtorch, once (CUDA=1: with the libraries that a GPU needs)
	@bash scripts/setup.sh

build: setup ## the program, optimised: target/release/coretune
	cargo build --release --locked

test: setup ## formatting, clippy, documentation and all tests
	@bash scripts/test.sh

demo: build ## linear probe, cross-entropy and Core-tuning with 200 labels: a minute on two free cores
	@bash scripts/demo.sh

bench: setup peers ## training steps per second, beside PyTorch
	cargo bench --locked -p coretune --bench training_step --no-run
	.peers/bin/python benches/peers/compare.py $(BENCH_ARGS)

peers: ## a Python environment with PyTorch, for comparisons and fixtures: .peers
	@bash scripts/peers.sh
