//! Labels of Prometheus and of its Alertmanager, which say of whom an alert or a series is. Which ones do is configured,
//! since everybody's exporters have their own.

use super::{NAME_MAX, server_names};
use std::collections::BTreeMap;
use weir_engine::event::About;

/// Which labels name a server and a group, in order of preference.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Of the server.
    pub server: &'a [String],
    /// Of the group.
    pub group: &'a [String],
}

impl Labels<'_> {
    /// Of whom something with these labels is. Each label that names a server is taken as it is and without the port that
    /// `instance` carries: any of them that the group's ledger knows will do.
    ///
    /// # Errors
    /// What is wrong with the group's label.
    pub fn about(&self, labels: &BTreeMap<String, String>) -> Result<About, String> {
        let server = server_names(self.server.iter().filter_map(|label| labels.get(label)).flat_map(|value| {
            let bare = without_port(value).map(str::to_owned);
            [Some(value.clone()), bare].into_iter().flatten()
        }));
        let group = self.group.iter().find_map(|label| labels.get(label)).filter(|group| !group.is_empty());
        match group {
            Some(group) if group.len() > NAME_MAX => {
                Err(format!("name a group in {} bytes; at most {NAME_MAX}", group.len()))
            }
            group => Ok(About { server, group: group.cloned() }),
        }
    }
}

/// `web-3:9100` → `web-3`, `[2001:db8::3]:9100` → `2001:db8::3`; `None` where there is no port.
fn without_port(instance: &str) -> Option<&str> {
    let (host, port) = instance.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => Some(inner),
        // A bare IPv6 address ends in `:` and digits too.
        None => (!host.contains(':')).then_some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(without_port("10.0.0.3:9100"), Some("10.0.0.3"));
        assert_eq!(without_port("[2001:db8::3]:9100"), Some("2001:db8::3"));
        for whole in ["web-3", "2001:db8::3", "http://web-3", "web:", "web:http"] {
            assert_eq!(without_port(whole), None, "{whole}");
        }
    }
}
