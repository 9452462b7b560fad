//! The two ports of the history, each call run to its end: what is written behind the log, and what the API and `why` read.

use super::{
    super::{History, HistoryWriter, Kept, Result, View, ViewKind},
    Cassandra,
};
use weir_engine::{command::Command, decision::Decision, id::Position};

impl HistoryWriter for Cassandra {
    fn write_commands(&self, partition: u32, commands: &[(u64, Command)]) -> Result<()> {
        self.link.run(self.put_commands(partition, commands))
    }

    fn write_decisions(&self, decisions: &[Kept]) -> Result<()> {
        self.link.run(self.put_decisions(decisions))
    }

    fn write_views(&self, _partition: u32, views: &[(u64, View)]) -> Result<()> {
        self.link.run(self.put_views(views))
    }
}

impl History for Cassandra {
    fn decisions(&self, tenant: &str, group: &str, before: Option<u64>, most: usize) -> Result<Vec<Kept>> {
        self.link.run(self.decisions_of(tenant, group, before, most))
    }

    fn decisions_at(&self, position: Position) -> Result<Vec<Decision>> {
        self.decisions_between(position.partition, position.offset, position.offset.saturating_add(1))
    }

    fn decisions_between(&self, partition: u32, from: u64, until: u64) -> Result<Vec<Decision>> {
        self.link.run(self.decisions_from(partition, from, until))
    }

    fn commands_since(&self, partition: u32, after: u64, most: usize) -> Result<Vec<(u64, Command)>> {
        self.link.run(self.commands_after(partition, after, most))
    }

    fn view(&self, kind: ViewKind, tenant: &str, name: &str) -> Result<Option<serde_json::Value>> {
        self.link.run(self.view_of(kind, tenant, name))
    }

    fn views(&self, kind: ViewKind, tenant: &str) -> Result<Vec<(String, serde_json::Value)>> {
        self.link.run(self.views_of(kind, tenant))
    }
}
