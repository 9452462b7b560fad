//! Measures and prints; asserts nothing. `tests/bench` builds it in release and runs it.

use anyhow::Context as _;
use weir_tests::bench::{
    cluster, engine,
    promises::{self, Load},
    road, store,
};

const PARTS: [&str; 5] = ["engine", "promises", "store", "road", "cluster"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("herd", size)) = wanted.split_first().map(|(part, size)| (part.as_str(), size)) {
        return one_herd(size);
    }
    let all = wanted.is_empty();
    let wants = |part: &str| all || wanted.iter().any(|one| one == part);
    anyhow::ensure!(
        wanted.iter().all(|one| PARTS.contains(&one.as_str()) || one.parse::<usize>().is_ok()),
        "there are `{}`; a number is the larger fleet of `promises` and `cluster`",
        PARTS.join("`, `")
    );
    let largest = wanted.iter().find_map(|one| one.parse().ok()).unwrap_or(100_000);
    if wants("engine") {
        engine::run();
    }
    if wants("promises") {
        promises::run(largest);
    }
    if wants("store") {
        tokio::task::spawn_blocking(store::run).await??;
    }
    if wants("road") {
        road::run().await?;
    }
    // Wants a JVM and Maven, so only by its name.
    if wanted.iter().any(|one| one == "cluster") {
        tokio::task::spawn_blocking(move || cluster::run(largest)).await??;
    }
    Ok(())
}

/// `herd GROUPS SERVERS [alarms]`.
fn one_herd(size: &[String]) -> anyhow::Result<()> {
    let usage = "`herd` takes a number of groups, of servers in each, and `alarms` where no samples are wanted";
    let (groups, servers, load) = match size {
        [groups, servers] => (groups, servers, Load::Mixed),
        [groups, servers, alarms] if alarms == "alarms" => (groups, servers, Load::Alarms),
        _ => anyhow::bail!(usage),
    };
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0).context(usage);
    promises::one_herd(number(groups)?, number(servers)?, load);
    Ok(())
}
