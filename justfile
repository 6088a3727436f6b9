# What CI runs before its tests.
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# The tests, or those whose names match.
test *FILTER:
    cargo nextest run {{FILTER}}

# Look at changed snapshots.
review:
    cargo insta review

# One simulated run of the engine.
sim SEED:
    SEED={{SEED}} cargo test --lib engine::tests -- --nocapture

# The benchmarks of the README.
bench:
    benches/run.sh

# A devnet, and the quick start on it.
dev:
    cargo run --release -- run pipelines/quickstart.yaml

# The documentation of the code.
doc:
    cargo doc --no-deps --document-private-items --open
