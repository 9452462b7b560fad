//! Every statement that is sent, prepared once. The columns stand in `schema.cql`; values are bound in the order written.

use super::{super::Result, link::Link};
use scylla::statement::prepared::PreparedStatement;

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// The statements by name.
        pub(super) struct Statements {
            $($(#[$doc])* pub(super) $name: PreparedStatement,)+
        }

        impl Statements {
            /// Prepares all of them. What a table lacks is said here and not at the first use.
            pub(super) async fn prepare(link: &Link, keyspace: &str) -> Result<Self> {
                let ask = |text: &str| {
                    let text = text.replace("${keyspace}", keyspace);
                    async move { link.prepare(&text).await }
                };
                Ok(Self { $($name: ask($text).await?,)+ })
            }
        }
    };
}

statements! {
    /// Slot, manifest, when it was written.
    manifests = "SELECT slot, manifest, WRITETIME(manifest) FROM ${keyspace}.snapshots \
                 WHERE log_id = ? AND machine = ? AND part = ?";
    put_manifest = "INSERT INTO ${keyspace}.snapshots (log_id, machine, part, slot, manifest) \
                    VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    chunk = "SELECT bytes FROM ${keyspace}.chunks \
             WHERE log_id = ? AND machine = ? AND part = ? AND semantics = ? AND position = ? AND digest = ? AND chunk = ?";
    put_chunk = "INSERT INTO ${keyspace}.chunks (log_id, machine, part, semantics, position, digest, chunk, bytes) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    drop_chunk = "DELETE FROM ${keyspace}.chunks \
                  WHERE log_id = ? AND machine = ? AND part = ? AND semantics = ? AND position = ? AND digest = ? AND chunk = ?";

    /// Serial, decision: of one day, newest first.
    decisions = "SELECT serial, decision FROM ${keyspace}.decisions \
                 WHERE log_id = ? AND tenant = ? AND grp = ? AND day = ? AND serial < ?";
    put_decision = "INSERT INTO ${keyspace}.decisions (log_id, tenant, grp, day, serial, decision) \
                    VALUES (?, ?, ?, ?, ?, ?) USING TTL ?";
    /// Newest first.
    days = "SELECT day FROM ${keyspace}.decision_days WHERE log_id = ? AND tenant = ? AND grp = ? AND day <= ?";
    put_day = "INSERT INTO ${keyspace}.decision_days (log_id, tenant, grp, day) VALUES (?, ?, ?, ?) USING TTL ?";
    /// Serial, decision: of one shelf, oldest first.
    decisions_at = "SELECT serial, decision FROM ${keyspace}.decisions_at \
                    WHERE log_id = ? AND part = ? AND stretch = ? AND shelf = ? AND serial >= ? AND serial <= ?";
    put_decision_at = "INSERT INTO ${keyspace}.decisions_at (log_id, part, stretch, shelf, serial, day, decision) \
                       VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?";
    day_of = "SELECT day FROM ${keyspace}.decisions_at \
              WHERE log_id = ? AND part = ? AND stretch = ? AND shelf = ? AND serial = ?";

    /// Mark, command: of one stretch, oldest first.
    commands = "SELECT mark, command FROM ${keyspace}.commands WHERE log_id = ? AND part = ? AND stretch = ? AND mark > ?";
    put_command = "INSERT INTO ${keyspace}.commands (log_id, part, stretch, mark, command) VALUES (?, ?, ?, ?, ?) USING TTL ?";

    /// Stretch, shelf.
    stretches = "SELECT stretch, shelf FROM ${keyspace}.stretches \
                 WHERE log_id = ? AND part = ? AND kind = ? AND era = ? AND stretch >= ? AND stretch <= ?";
    put_stretch = "INSERT INTO ${keyspace}.stretches (log_id, part, kind, era, stretch, shelf) \
                   VALUES (?, ?, ?, ?, ?, ?) USING TTL ?";
    eras = "SELECT era FROM ${keyspace}.eras WHERE log_id = ? AND part = ? AND kind = ? AND era >= ?";
    put_era = "INSERT INTO ${keyspace}.eras (log_id, part, kind, era) VALUES (?, ?, ?, ?)";

    view = "SELECT value FROM ${keyspace}.views \
            WHERE log_id = ? AND kind = ? AND tenant = ? AND shelf = ? AND name = ?";
    /// Name, value.
    views = "SELECT name, value FROM ${keyspace}.views WHERE log_id = ? AND kind = ? AND tenant = ? AND shelf = ?";
    put_view = "INSERT INTO ${keyspace}.views (log_id, kind, tenant, shelf, name, value) \
                VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    drop_view = "DELETE FROM ${keyspace}.views USING TIMESTAMP ? \
                 WHERE log_id = ? AND kind = ? AND tenant = ? AND shelf = ? AND name = ?";

    policy = "SELECT policy FROM ${keyspace}.policies WHERE tenant = ? AND hash = ?";
    put_policy = "INSERT INTO ${keyspace}.policies (tenant, hash, policy) VALUES (?, ?, ?)";
}
