//! Commands by their marks, also those that newer ones replaced: for audits and export.

use super::{
    super::Result,
    Cassandra, column, decode, encode,
    index::{Numbered, stretch_of},
    link::{Link, Put},
    part,
};
use std::collections::BTreeMap;
use weir_engine::command::Command;

/// Rows in one answer. A command carries the group's setup text, so they are large.
const PAGE: usize = 100;

impl Cassandra {
    pub(super) async fn put_commands(&self, partition: u32, commands: &[(u64, Command)]) -> Result<()> {
        let mut of_stretches = BTreeMap::new();
        for (mark, command) in commands {
            let stretch = stretch_of(*mark);
            let text = encode(command)?;
            let values = (&self.log_id, part(partition), stretch, column(*mark), text, self.ttl);
            let row = Put { bytes: values.4.len(), values };
            of_stretches.entry(stretch).or_insert_with(Vec::new).push(row);
        }
        let stretches = of_stretches.into_iter().map(|(stretch, rows)| async move {
            self.note(Numbered::Commands, partition, stretch, 0).await?;
            self.link.write_all(&self.statements.put_command, &rows).await
        });
        Link::fan(stretches).await.map(drop)
    }

    pub(super) async fn commands_after(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        let mut commands = Vec::new();
        let mut next = stretch_of(after.saturating_add(1));
        loop {
            let stretches = self.stretches(Numbered::Commands, partition, next, i64::MAX).await?;
            let Some((newest, _)) = stretches.last() else { return Ok(commands) };
            next = newest.saturating_add(1);
            for (stretch, _) in &stretches {
                let left = most - commands.len();
                if left == 0 {
                    return Ok(commands);
                }
                let asked = (&self.log_id, part(partition), stretch, column(after));
                for (mark, text) in
                    self.link.read::<(i64, String)>(&self.statements.commands, asked, PAGE, left).await?
                {
                    commands.push((mark.unsigned_abs(), decode(&text, "a command")?));
                }
            }
        }
    }
}
