//! Measures and prints; asserts nothing. `tests/bench` builds it in release and runs it.

use weir_tests::bench::{engine, road, store};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = wanted.is_empty();
    let wants = |part: &str| all || wanted.iter().any(|one| one == part);
    anyhow::ensure!(
        wanted.iter().all(|one| ["engine", "store", "road"].contains(&one.as_str())),
        "there are `engine`, `store` and `road`"
    );
    if wants("engine") {
        engine::run();
    }
    if wants("store") {
        tokio::task::spawn_blocking(store::run).await??;
    }
    if wants("road") {
        road::run().await?;
    }
    Ok(())
}
