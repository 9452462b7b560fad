//! Measures and prints; asserts nothing. `tests/bench` builds it in release and runs it.

use weir_tests::bench::{engine, promises, road, store};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = wanted.is_empty();
    let wants = |part: &str| all || wanted.iter().any(|one| one == part);
    anyhow::ensure!(
        wanted
            .iter()
            .all(|one| ["engine", "promises", "store", "road"].contains(&one.as_str()) || one.parse::<usize>().is_ok()),
        "there are `engine`, `promises`, `store` and `road`; a number is the larger fleet of `promises`"
    );
    if wants("engine") {
        engine::run();
    }
    if wants("promises") {
        promises::run(wanted.iter().find_map(|one| one.parse().ok()).unwrap_or(100_000));
    }
    if wants("store") {
        tokio::task::spawn_blocking(store::run).await??;
    }
    if wants("road") {
        road::run().await?;
    }
    Ok(())
}
