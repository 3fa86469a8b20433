# Everything is CMake's work (CMakePresets.json); this file saves typing and installs what is missing first.

CONFIG ?= configs/gpt.toml
ARGS ?=
FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help train test build bench sanitize fuzz format lint check-format clean dependencies format-dependencies lint-dependencies fuzz-dependencies

help:
	@echo 'make train      trains on CONFIG ($(CONFIG)), with ARGS="--set table.key=value ..."'
	@echo 'make test       builds everything and runs all tests'
	@echo 'make build      builds build/release/bin/trainer'
	@echo 'make bench      builds and runs the benchmarks'
	@echo 'make sanitize   runs the unit tests under the address and undefined-behaviour sanitizers'
	@echo 'make fuzz       runs the fuzzer of each reader for FUZZ_SECONDS ($(FUZZ_SECONDS))'
	@echo 'make format     formats the sources; make lint checks format and clang-tidy'
	@echo 'make clean      removes build/'

train: build
	build/release/bin/trainer --config $(CONFIG) $(ARGS)

build: build/release/build.ninja
	cmake --build --preset release --target trainer

test: build/release/build.ninja
	cmake --build --preset release
	ctest --preset release

bench: build/release/build.ninja
	cmake --build --preset release --target tests/bench/all
	scripts/run-benchmarks build/release/bin

sanitize: build/dev/build.ninja
	cmake --build --preset dev --target tests/unit/all tests/programs/all tests/fuzz/all
	ctest --preset dev --tests-regex '^unit_'

fuzz: fuzz-dependencies build/fuzz/build.ninja
	cmake --build --preset fuzz --target tests/fuzz/all
	scripts/fuzz build/fuzz/bin $(FUZZ_SECONDS)

# Configures once; from then on the build does it again by itself when it has to.
build/%/build.ninja: | dependencies
	cmake --preset $*

dependencies:
	@scripts/install-dependencies

format: format-dependencies
	scripts/format

check-format: format-dependencies
	scripts/format --check

lint: check-format lint-dependencies build/release/build.ninja
	scripts/lint build/release

format-dependencies:
	@scripts/install-dependencies format

lint-dependencies:
	@scripts/install-dependencies lint

fuzz-dependencies:
	@scripts/install-dependencies fuzz

clean:
	rm -rf build
