//! Debian's Prometheus and Alertmanager, watching a shop and telling an installation what they see.

use serde_json::Value;
use std::{fs, net::SocketAddr, path::Path};
use weir_tests::{process::TOKEN, service::Service};

/// Both of them. They end with the value.
pub struct Monitoring {
    prometheus: Service,
    _alertmanager: Service,
    client: reqwest::Client,
}

/// A server's measured value.
#[derive(Debug)]
pub struct Measured {
    pub server: String,
    /// As Prometheus wrote it.
    pub value: String,
    pub at_ms: i64,
}

impl Monitoring {
    /// Starts them; `url` is the installation's door.
    pub fn start(folder: &Path, shop: SocketAddr, url: &str) -> Self {
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let routes = file("alertmanager.yml", alertmanager(url));
        let alertmanager = Service::up("alertmanager", &[&routes]).unwrap();
        let rules = file("rules.yml", RULES.to_owned());
        let config = file("prometheus.yml", prometheus(shop, &alertmanager.url, &rules));
        let prometheus = Service::up("prometheus", &[&config]).unwrap();
        Self { prometheus, _alertmanager: alertmanager, client: weir::http::client().unwrap() }
    }

    /// What a query gives now, a value a server.
    pub async fn query(&self, query: &str) -> Vec<Measured> {
        let url = format!("{}/api/v1/query", self.prometheus.url);
        let answer = self.client.get(url).query(&[("query", query)]).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let measured = |row: &Value| Measured {
            server: row["metric"]["server_id"].as_str().unwrap().to_owned(),
            value: row["value"][1].as_str().unwrap().to_owned(),
            #[expect(clippy::cast_possible_truncation, reason = "an instant of this century")]
            at_ms: (row["value"][0].as_f64().unwrap() * 1_000.0) as i64,
        };
        answer["data"]["result"].as_array().unwrap().iter().map(measured).collect()
    }
}

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: HighCpu
        expr: cpu_usage_percent > 85
        for: 2s
        labels: { severity: critical }
        annotations: { summary: "cpu {{ $value }} on {{ $labels.instance }}" }
      - alert: SiteIdle
        expr: max(checkout_queue_depth) < 5
        for: 2s
        labels: { severity: critical }
"#;

fn prometheus(shop: SocketAddr, alertmanager: &str, rules: &str) -> String {
    let alertmanager = alertmanager.trim_start_matches("http://");
    format!(
        r#"
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{rules}"]
alerting:
  alertmanagers:
    - static_configs: [{{ targets: ["{alertmanager}"] }}]
scrape_configs:
  - job_name: shop
    http_sd_configs: [{{ url: "http://{shop}/targets", refresh_interval: 1s }}]
"#
    )
}

fn alertmanager(url: &str) -> String {
    format!(
        r#"
route:
  receiver: weir
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: weir
    webhook_configs:
      - url: "{url}/v1/alarms/alertmanager"
        http_config: {{ authorization: {{ credentials: "{TOKEN}" }} }}
"#
    )
}
