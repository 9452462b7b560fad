//! Configured quotas of servers, told to the engine. It decides with what the log says and nothing else, so a quota
//! that was changed in the configuration becomes an order in the log when the process starts.

use super::Door;
use crate::backend::ViewKind;
use std::sync::Arc;
use weir_engine::event::{Control, Event, Fact, Order, Version};

/// Writes an order for each tenant whose quota differs from the one in force. What fails is left for the next start;
/// the old quota holds until then.
pub(super) async fn declare(door: &Arc<Door>) {
    for tenant in &door.config.tenants {
        let (name, servers) = (tenant.name.clone(), tenant.quota.servers);
        let rows = {
            let name = name.clone();
            door.ask(move |door| Ok(door.backend.views(ViewKind::Tenants, &name)?)).await
        };
        let in_force = match rows {
            Ok(rows) => rows.first().and_then(|(_, row)| row.get("quota")?.as_u64()),
            Err(problem) => {
                tracing::warn!(tenant = %name, "the quota in force is not known: {}", problem.detail);
                continue;
            }
        };
        if in_force == servers.map(u64::from) {
            continue;
        }
        let order = Order::Quota { servers };
        let control = Control { actor: "configuration".to_owned(), reason: String::new(), order };
        let event = Event {
            specversion: Version::V1,
            id: door.fresh_key(),
            source: "/api".to_owned(),
            time: door.clock.now_ms(),
            tenant: name.clone(),
            fact: Fact::Control(control),
        };
        if let Err(problem) = door.write(&name, vec![event]).await {
            tracing::warn!(tenant = %name, "the quota is not in the log: {}", problem.detail);
        }
    }
}
