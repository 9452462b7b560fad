//! A shop whose servers carry one load together, seen by Prometheus: an address that lists the servers that are there,
//! and a page of metrics for each. The test sets the load; a server more makes every other one cooler.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The shop. It ends with the value.
pub struct Site {
    pub address: SocketAddr,
    shared: Shared,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    address: SocketAddr,
    state: Arc<Mutex<Shop>>,
}

struct Shop {
    /// Percent of one server, over all of them.
    load: u32,
    /// Customers in the queue.
    queue: u32,
    /// Names by the cloud's ids.
    servers: BTreeMap<String, String>,
}

impl Site {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shop = Shop { load: 100, queue: 50, servers: BTreeMap::new() };
        let shared = Shared { address, state: Arc::new(Mutex::new(shop)) };
        let router = Router::new()
            .route("/targets", get(targets))
            .route("/servers/{id}/metrics", get(metrics))
            .with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, serving }
    }

    /// The load in percent of one server.
    pub fn set_load(&self, load: u32) {
        self.shared.state.lock().unwrap().load = load;
    }

    pub fn set_queue(&self, queue: u32) {
        self.shared.state.lock().unwrap().queue = queue;
    }

    /// The servers that carry the load from now on: names by the cloud's ids.
    pub fn set_servers(&self, servers: BTreeMap<String, String>) {
        self.shared.state.lock().unwrap().servers = servers;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// As Prometheus' HTTP service discovery reads it.
async fn targets(State(shared): State<Shared>) -> Json<Value> {
    let target = |(id, name): (&String, &String)| {
        let labels = json!({
            "__metrics_path__": format!("/servers/{id}/metrics"), "server_id": id, "instance": format!("{name}:9100"),
        });
        json!({ "targets": [shared.address.to_string()], "labels": labels })
    };
    Json(shared.state.lock().unwrap().servers.iter().map(target).collect())
}

async fn metrics(State(shared): State<Shared>, Path(id): Path<String>) -> Result<String, StatusCode> {
    let shop = shared.state.lock().unwrap();
    if !shop.servers.contains_key(&id) {
        return Err(StatusCode::NOT_FOUND);
    }
    let each = f64::from(shop.load) / f64::from(u32::try_from(shop.servers.len()).unwrap());
    Ok(format!("cpu_usage_percent {:.1}\ncheckout_queue_depth {}\n", each.min(100.0), shop.queue))
}
