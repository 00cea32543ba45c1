#!/usr/bin/env bash
# What `make test` runs after setup: formatting, lints, documentation, tests; then which tests were skipped and why, and
# the ten slowest ones.
# One profile only (dev), so that libtorch's bindings (five minutes of C++ on two cores) are built once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=target/test-output.txt
mkdir -p target

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

# Tests run at the same time, a process each: with more than one thread each they would spin for each other's cores.
# Those that need more threads ask for them.
export OMP_NUM_THREADS=1

run_tests() {
    if cargo nextest --version > /dev/null 2>&1; then
        rm -f target/nextest/all/junit.xml
        step cargo nextest run --workspace --locked --profile all
        cp target/nextest/all/junit.xml "$log"
    else
        # --show-output, because cargo test throws away what a passing test says. Times of tests are an unstable option
        # of the test harness, which RUSTC_BOOTSTRAP allows; it is set for the test binaries alone, not for the compiler.
        local host
        host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        step env "CARGO_TARGET_${host}_RUNNER=env RUSTC_BOOTSTRAP=1" \
            cargo test --workspace --locked --no-fail-fast --lib --bins --tests -- \
            --show-output -Z unstable-options --report-time 2>&1 | tee "$log"
    fi
    step cargo test --workspace --locked --doc
}

# A test that misses something says `skipped: needs WHAT` and passes. Its name stands above that line, as
# <testcase name="NAME" classname="BINARY" ...> (nextest's report) or `---- NAME stdout ----` (cargo test).
skipped_tests() {
    awk '
        /<testcase /      { split($0, field, "\""); name = field[4] " " field[2] }
        /^---- .* ----$/  { name = $2 }
        /skipped: needs / { what = $0; sub(/.*skipped: needs /, "", what); sub(/[&<].*/, "", what)
                            print "  " name ": needs " what }
    ' "$log" | sort -u
}

report_skipped() {
    local names
    names=$(skipped_tests)
    if [ -z "$names" ]; then
        printf '\nno test was skipped\n'
    else
        printf '\nskipped: %s (CORETUNE_SHARED may name another folder than ../shared)\n%s\n' \
            "$(wc -l <<< "$names")" "$names"
    fi
}

# Times are in <testcase ... time="SECONDS" ...> (nextest's report) or `test NAME ... ok <SECONDSs>` (cargo test).
report_slowest() {
    printf '\nslowest tests, in seconds, others running beside them\n'
    awk '
        /<testcase /                    { split($0, field, "\""); time = $0; sub(/.* time="/, "", time)
                                          sub(/".*/, "", time); print time, field[4], field[2] }
        /^ *Running /                   { binary = $NF; sub(/.*\//, "", binary); sub(/-[0-9a-f]+\)$/, "", binary) }
        /^test .* \.\.\. .*<[0-9.]+s>$/ { time = $NF; gsub(/[<>s]/, "", time); print time, binary, $2 }
    ' "$log" | sort -rn | awk 'NR <= 10 { printf "  %6.1f  %s %s\n", $1, $2, $3 }'
}

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" step cargo doc --workspace --no-deps --locked
if cargo deny --version > /dev/null 2>&1; then
    step cargo deny --offline check bans licenses sources
fi
if command -v python3 > /dev/null; then
    step python3 scripts/imports.py
    step python3 scripts/language.py
    step python3 scripts/language.py --messages
    for folder in experiments scripts; do
        step python3 -m unittest discover --start-directory "$folder" --pattern '*_test.py'
    done
fi
run_tests
report_skipped
report_slowest
printf 'all passed in %d min %d s\n' $((SECONDS / 60)) $((SECONDS % 60))
