//! What of Cassandra will not work, before it matters: for `weir doctor`.

use super::{
    super::{Finding, Result, finding},
    Settings,
    link::Link,
    schema,
};
use scylla::value::CqlTimestamp;

/// Looks at nodes, schema, replication and clocks.
#[must_use]
pub fn examine(settings: &Settings) -> Vec<Finding> {
    let link = match Link::open(settings) {
        Ok(link) => link,
        Err(error) => return vec![Finding::wrong("cassandra", error)],
    };
    let nodes = settings.nodes.join(", ");
    let user = settings.credentials.as_ref().map(|known| format!(" and lets `{}` in", known.username));
    let mut findings = vec![Finding::fine("cassandra", format!("{nodes} answers{}", user.unwrap_or_default()))];
    let keyspace = &settings.keyspace;
    match link.run(schema::check(&link, keyspace)) {
        Ok(()) => findings.push(Finding::fine("schema", format!("the tables of `{keyspace}` are this build's"))),
        Err(error) => {
            findings.push(Finding::wrong("schema", error));
            return findings;
        }
    }
    findings.push(match link.run(schema::check_replication(&link, keyspace, &settings.replication)) {
        Ok(()) => Finding::fine("replication", format!("`{keyspace}` is kept as often as the configuration says")),
        Err(error) => Finding::wrong("replication", error),
    });
    findings.push(clocks(&link, settings).unwrap_or_else(|error| Finding::wrong("clock", error)));
    findings
}

/// Nothing is decided by Cassandra's clock, but what is kept for a time goes by it.
fn clocks(link: &Link, settings: &Settings) -> Result<Finding> {
    let asked_ms = settings.clock.now_ms();
    let rows = link.run(async {
        let statement = link.prepare("SELECT toTimestamp(now()) FROM system.local").await?;
        link.read::<(CqlTimestamp,)>(&statement, (), 1, 1).await
    })?;
    let answered_ms = settings.clock.now_ms();
    let theirs_ms = rows.first().map_or(0, |(now,)| now.0);
    Ok(finding::clock("clock", "Cassandra", theirs_ms.clamp(asked_ms, answered_ms), theirs_ms))
}
