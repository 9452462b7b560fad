//! The tables: made by `weir setup`, looked at whenever the store is opened.

use super::{
    super::{Error, Result},
    Settings,
    link::Link,
};
use crate::config::Replication;
use std::collections::BTreeMap;

/// The tables, as a person reads them.
const SCHEMA: &str = include_str!("../../../schema.cql");
/// The schema that this build reads and writes.
const VERSION: u32 = 1;
/// The statements that make the keyspace and `meta`, which says the version. They come before it is asked for: Cassandra
/// lists a table a moment before it can be read, and can read it once who made it has an answer. So of several setups at
/// once none stumbles over what another has half made.
const UP_TO_META: usize = 2;

/// Makes the keyspace and the tables where they are missing. Done again, it changes nothing.
pub(super) async fn setup(link: &Link, settings: &Settings) -> Result<()> {
    let keyspace = &settings.keyspace;
    let statements = statements(keyspace, &settings.replication);
    let (first, others) = statements.split_at(UP_TO_META.min(statements.len()));
    for statement in first {
        link.define(statement).await?;
    }
    if let Some(found) = version(link, keyspace).await?.filter(|found| *found > VERSION) {
        return Err(newer(keyspace, found));
    }
    for statement in others {
        link.define(statement).await?;
    }
    let done = format!("INSERT INTO {keyspace}.meta (name, value) VALUES ('schema', '{VERSION}')");
    link.define(&done).await?;
    check_replication(link, keyspace, &settings.replication).await
}

/// Refuses a keyspace that is not there or not as this build knows it.
pub(super) async fn check(link: &Link, keyspace: &str) -> Result<()> {
    match version(link, keyspace).await? {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(newer(keyspace, found)),
        Some(found) => Err(Error::Failed(format!(
            "the keyspace `{keyspace}` has schema {found} and this build needs {VERSION}: run `weir setup`"
        ))),
        None => Err(Error::Failed(format!("the keyspace `{keyspace}` has no tables of Weir's yet: run `weir setup`"))),
    }
}

fn newer(keyspace: &str, found: u32) -> Error {
    Error::Failed(format!(
        "the keyspace `{keyspace}` has schema {found} and this build knows {VERSION}: use the build that made it"
    ))
}

/// The schema's number; `None` where there is none.
async fn version(link: &Link, keyspace: &str) -> Result<Option<u32>> {
    let text = format!(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = 'meta'"
    );
    if texts(link, &text).await?.is_empty() {
        return Ok(None);
    }
    let values = texts(link, &format!("SELECT value FROM {keyspace}.meta WHERE name = 'schema'")).await?;
    // A setup that was broken off has made tables and not written this yet.
    let Some(value) = values.first() else { return Ok(None) };
    value.parse().map(Some).map_err(|_| Error::Damaged(format!("the schema of the keyspace `{keyspace}` is `{value}`")))
}

async fn texts(link: &Link, text: &str) -> Result<Vec<String>> {
    let statement = link.prepare(text).await?;
    let rows = link.read::<(String,)>(&statement, (), 100, 100).await?;
    Ok(rows.into_iter().map(|(text,)| text).collect())
}

/// A keyspace keeps the replication it was made with: changing it moves data, so that is an operator's to do.
pub(super) async fn check_replication(link: &Link, keyspace: &str, wanted: &Replication) -> Result<()> {
    let text = format!("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'");
    let statement = link.prepare(&text).await?;
    let rows = link.read::<(BTreeMap<String, String>,)>(&statement, (), 1, 1).await?;
    let mut found = rows.into_iter().next().map(|(found,)| found).unwrap_or_default();
    found.remove("class");
    let same = match wanted {
        Replication::Everywhere(factor) => found.values().all(|found| *found == factor.to_string()),
        Replication::Datacenters(factors) => {
            found.len() == factors.len()
                && factors.iter().all(|(name, factor)| found.get(name) == Some(&factor.to_string()))
        }
    };
    if same {
        return Ok(());
    }
    let found: Vec<String> = found.iter().map(|(name, factor)| format!("{name}: {factor}")).collect();
    Err(Error::Failed(format!(
        "the keyspace `{keyspace}` is replicated as `{}` and the configuration says otherwise: correct `replication` of \
         `[store]`, or ALTER KEYSPACE and then repair it",
        found.join(", ")
    )))
}

/// The statements of the file, with what the configuration says.
fn statements(keyspace: &str, replication: &Replication) -> Vec<String> {
    let factors = match replication {
        Replication::Everywhere(factor) => format!("'replication_factor': {factor}"),
        Replication::Datacenters(factors) => {
            let factors: Vec<String> = factors.iter().map(|(name, factor)| format!("'{name}': {factor}")).collect();
            factors.join(", ")
        }
    };
    let replication = format!("{{'class': 'NetworkTopologyStrategy', {factors}}}");
    let lines: Vec<&str> = SCHEMA.lines().filter(|line| !line.starts_with("--")).collect();
    let text = lines.join("\n").replace("${keyspace}", keyspace).replace("${replication}", &replication);
    text.split(';').map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gives_statements_that_change_nothing_that_is_there() {
        let factors = BTreeMap::from([("east".to_owned(), 3), ("west".to_owned(), 2)]);
        let statements = statements("weir_1", &Replication::Datacenters(factors));
        assert!(statements.iter().all(|statement| statement.contains(" IF NOT EXISTS weir_1")), "{statements:#?}");
        assert!(!statements.iter().any(|statement| statement.contains('$')));
        let keyspace = statements.first().map(String::as_str);
        let expected = "CREATE KEYSPACE IF NOT EXISTS weir_1 WITH replication = \
                        {'class': 'NetworkTopologyStrategy', 'east': 3, 'west': 2}";
        assert_eq!(keyspace, Some(expected));
        assert!(statements[UP_TO_META - 1].contains("weir_1.meta"), "{statements:#?}");
    }
}
