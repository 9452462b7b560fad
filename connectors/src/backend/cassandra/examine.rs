//! What of Cassandra will not work, before it matters: for `weir doctor`.

use super::{
    super::{Error, Finding, Result, finding},
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
    findings.push(commit_log(&link, settings).unwrap_or_else(|error| Finding::wrong("commit log", error)));
    findings.push(clocks(&link, settings).unwrap_or_else(|error| Finding::wrong("clock", error)));
    findings
}

/// A node that syncs after it has answered forgets, when it is killed, what it answered in its last tenth of a second, and when
/// its machine dies in its last ten seconds. Three copies have it elsewhere; fewer have not, and nobody writes a row again
/// that was answered.
fn commit_log(link: &Link, settings: &Settings) -> Result<Finding> {
    const COPIES_MIN: u8 = 3;
    let about = "commit log";
    let rows = link.run(async {
        let text = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
        link.read::<(Option<String>,)>(&link.prepare(text).await?, (), 1, 1).await
    });
    let sync = match rows {
        Ok(rows) => rows.into_iter().next().and_then(|(value,)| value).unwrap_or_default(),
        // Cassandra shows its settings to those who were granted it.
        Err(Error::Failed(why)) => return Ok(Finding::fine(about, format!("not looked at: {why}"))),
        Err(error) => return Err(error),
    };
    if sync != "periodic" {
        return Ok(Finding::fine(about, format!("a write is synced before it is answered (`{sync}`)")));
    }
    if settings.replication.least() >= COPIES_MIN {
        return Ok(Finding::fine(about, "a write is answered before it is synced; its other copies have it"));
    }
    Ok(Finding::wrong(
        about,
        format!(
            "a write is answered before it is synced, and there are fewer than {COPIES_MIN} copies: history and views would \
             lose rows with a node; in `cassandra.yaml` set `commitlog_sync: group` and `commitlog_sync_group_window: 5ms`, \
             and take `commitlog_sync_period` away"
        ),
    ))
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
