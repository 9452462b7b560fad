//! What the tenants send while their processes are killed: alarms by the forty, samples, events, forces, deploys, by
//! whichever door is open. Each fact is its own, so that it can be found again; what was answered with 2xx is remembered.

use super::site::Site;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use weir::clock::{Clock, WallClock};
use weir_engine::{id::Position, time};
use weir_tests::dice::Dice;

/// A sender tries the same fact again for so long, as real ones do, and then gives it up.
const TRIES: Duration = Duration::from_secs(90);
/// Alarms of one notification, each of another server.
const ALARMS: u64 = 80;
/// Servers that samples speak of; some are there and some are not.
const SERVERS: u64 = 40;

/// A fact that a door has taken.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub tenant: String,
    /// The key that its sender gave it; without one, where the door said that it is.
    pub key: Result<String, Position>,
    /// What its `data` must hold.
    pub data: Value,
}

/// A request as it is sent, again and again if need be.
struct Request {
    method: Method,
    path: String,
    key: Option<String>,
    body: String,
    /// Keys of the events that it becomes, where there are any, and what they hold.
    facts: Vec<(Option<String>, Value)>,
}

/// Makes the `number`-th request of a kind.
type Make = fn(&mut Dice, u64) -> Request;

/// Each kind with its pause between two requests of a tenant, milliseconds.
const KINDS: [(&str, u64, Make); 5] = [
    ("alarms", 350, alarms),
    ("samples", 150, sample),
    ("events", 150, event),
    ("forces", 900, force),
    ("deploys", 4_000, deploy),
];

/// What one kind of sender did, over all tenants.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub kind: &'static str,
    pub taken: u64,
    pub given_up: u64,
    /// From the first try to the answer, at most.
    pub longest: Duration,
    /// From the first try to the one that was taken, at most.
    pub refused: Duration,
}

/// All senders. They end with the value.
pub struct Storm {
    stop: Arc<AtomicBool>,
    facts: Arc<AtomicU64>,
    taken: Arc<Mutex<Vec<Acknowledged>>>,
    senders: Vec<JoinHandle<Sent>>,
}

impl Storm {
    /// Begins, by these doors.
    pub fn begin(site: &Arc<Site>, doors: &[String], seed: u64) -> Self {
        let mut storm =
            Self { stop: Arc::default(), facts: Arc::default(), taken: Arc::default(), senders: Vec::new() };
        let kinds = || KINDS.into_iter().enumerate();
        for (index, tenant) in site.tenants.iter().enumerate() {
            for (number, (kind, pause_ms, make)) in kinds() {
                let sender = Sender {
                    site: Arc::clone(site),
                    tenant: tenant.clone(),
                    doors: doors.to_vec(),
                    dice: Dice::new(seed.wrapping_add((index * KINDS.len() + number) as u64)),
                    stop: Arc::clone(&storm.stop),
                    facts: Arc::clone(&storm.facts),
                    taken: Arc::clone(&storm.taken),
                };
                storm.senders.push(tokio::spawn(sender.run(kind, pause_ms, make)));
            }
        }
        storm
    }

    /// Facts taken so far.
    pub fn facts(&self) -> u64 {
        self.facts.load(Ordering::SeqCst)
    }

    /// A sender that was refused has panicked; this says so at once rather than at the end.
    pub fn must_go_on(&self) {
        assert!(self.senders.iter().all(|sender| !sender.is_finished()), "a sender broke off; see above");
    }

    /// Ends when each sender's last request is answered or given up.
    pub async fn end(self) -> (Vec<Acknowledged>, Vec<Sent>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut all: Vec<Sent> = Vec::new();
        for sender in self.senders {
            let sent = sender.await.unwrap();
            match all.iter_mut().find(|all| all.kind == sent.kind) {
                Some(all) => {
                    (all.taken, all.given_up) = (all.taken + sent.taken, all.given_up + sent.given_up);
                    (all.longest, all.refused) = (all.longest.max(sent.longest), all.refused.max(sent.refused));
                }
                None => all.push(sent),
            }
        }
        let taken = self.taken.lock().unwrap().clone();
        (taken, all)
    }
}

struct Sender {
    site: Arc<Site>,
    tenant: String,
    doors: Vec<String>,
    dice: Dice,
    stop: Arc<AtomicBool>,
    facts: Arc<AtomicU64>,
    taken: Arc<Mutex<Vec<Acknowledged>>>,
}

impl Sender {
    async fn run(mut self, kind: &'static str, pause_ms: u64, make: Make) -> Sent {
        let mut sent = Sent { kind, ..Sent::default() };
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let request = make(&mut self.dice, number);
            let began = Instant::now();
            match self.send(&request).await {
                Some((position, sending)) => {
                    sent.refused = sent.refused.max(sending - began);
                    sent.taken += request.facts.len() as u64;
                    sent.longest = sent.longest.max(began.elapsed());
                    self.facts.fetch_add(request.facts.len() as u64, Ordering::SeqCst);
                    let fact = |(key, data): (Option<String>, Value)| Acknowledged {
                        tenant: self.tenant.clone(),
                        key: key.ok_or(position),
                        data,
                    };
                    self.taken.lock().unwrap().extend(request.facts.into_iter().map(fact));
                }
                None => sent.given_up += 1,
            }
            tokio::time::sleep(self.dice.moment(2 * pause_ms)).await;
        }
        sent
    }

    /// Sends until it is taken, by one door or the other; the same bytes under the same key each time. Answers where it is, and
    /// when the try began that was taken.
    async fn send(&mut self, request: &Request) -> Option<(Position, Instant)> {
        let began = Instant::now();
        let mut door = usize::try_from(self.dice.below(self.doors.len() as u64)).unwrap();
        while began.elapsed() < TRIES {
            let (path, tried) = (&request.path, Instant::now());
            let mut sending = self.site.request(&self.doors[door], &self.tenant, request.method.clone(), path);
            // A door that is stopped takes connections and says nothing.
            sending = sending.timeout(Duration::from_secs(3)).body(request.body.clone());
            if let Some(key) = &request.key {
                sending = sending.header("idempotency-key", key);
            }
            // No answer, or half of one: it may be in the log or not.
            if let Ok(answer) = sending.send().await {
                let status = answer.status();
                if let Ok(bytes) = answer.bytes().await {
                    match status.as_u16() {
                        200..300 => {
                            let answer: Value = serde_json::from_slice(&bytes).unwrap();
                            return Some((answer["position"].as_str().unwrap().parse().unwrap(), tried));
                        }
                        // It is wise to try again; or another deploy was quicker, and this one is of no use any more.
                        425 | 429 | 500.. => {}
                        409 => return None,
                        // A sample sent again for half a minute is too old to be taken.
                        422 if path == "/v1/samples" => return None,
                        _ => panic!("{} {path}: {status}: {}", request.method, String::from_utf8_lossy(&bytes)),
                    }
                }
            }
            door = (door + 1) % self.doors.len();
            tokio::time::sleep(Duration::from_millis(20) + self.dice.moment(80)).await;
        }
        None
    }
}

/// Names of servers as the program gives them; at any moment some are there and some are not.
fn server(number: u64) -> String {
    format!("web-{}-1", number + 1)
}

fn alarms(dice: &mut Dice, number: u64) -> Request {
    let at = time::rfc3339(WallClock.now_ms());
    let mut facts = Vec::new();
    let alert = |index: u64| {
        let (state, status, severity) = dice.one_of(&[
            ("ok", "resolved", "critical"),
            ("warning", "firing", "warning"),
            ("critical", "firing", "critical"),
        ]);
        let (server, fingerprint) = (server(index), format!("{number}-{index}"));
        let millis = time::parse_rfc3339(&at).unwrap();
        facts.push((
            Some(format!("{fingerprint}:{status}:{millis}")),
            json!({ "name": "hot", "state": state, "server": [server] }),
        ));
        json!({
            "status": status, "labels": { "alertname": "hot", "severity": severity, "instance": server },
            "annotations": {}, "startsAt": at, "endsAt": at, "fingerprint": fingerprint,
        })
    };
    let alerts: Vec<Value> = (0..ALARMS).map(alert).collect();
    let body = json!({ "version": "4", "status": "firing", "alerts": alerts }).to_string();
    Request { method: Method::POST, path: "/v1/alarms/alertmanager".into(), key: None, body, facts }
}

fn sample(dice: &mut Dice, number: u64) -> Request {
    let server = server(dice.below(SERVERS));
    // A value that no other sample has.
    let (percent, millionths) = (dice.below(80) + 10, number % 1_000_000);
    let body =
        format!(r#"{{"samples":[{{"metric":"cpu.usage","value":{percent}.{millionths:06},"server":"{server}"}}]}}"#);
    let data = json!([{ "metric": "cpu.usage", "value": percent * 1_000_000 + millionths, "server": [server] }]);
    Request { method: Method::POST, path: "/v1/samples".into(), key: None, body, facts: vec![(None, data)] }
}

fn event(_: &mut Dice, number: u64) -> Request {
    let body = json!({
        "specversion": "1.0", "type": "com.example.deploy.done", "source": "/storm", "id": number.to_string(),
        "data": { "group": "batch" },
    });
    let fact = (Some(format!("/storm#{number}")), json!({ "kind": "com.example.deploy.done", "group": "batch" }));
    Request { method: Method::POST, path: "/v1/events".into(), key: None, body: body.to_string(), facts: vec![fact] }
}

fn force(dice: &mut Dice, number: u64) -> Request {
    let (group, rule) = dice.one_of(&[("web", "grow"), ("web", "shrink"), ("batch", "grow"), ("batch", "shrink")]);
    let (key, path) = (format!("force-{number}"), format!("/v1/groups/{group}/rules/{rule}/force"));
    let facts = vec![(Some(key.clone()), json!({ "group": group, "rule": rule }))];
    Request { method: Method::POST, path, key: Some(key), body: String::new(), facts }
}

fn deploy(_: &mut Dice, number: u64) -> Request {
    let (key, text) = (format!("deploy-{number}"), policy(number));
    let facts = vec![(Some(key.clone()), json!({ "name": "storm.weir", "text": text }))];
    Request { method: Method::PUT, path: "/v1/policies/storm.weir".into(), key: Some(key), body: text, facts }
}

/// The policy at its `number`-th deploy: the ceiling goes up and down, and each text is its own.
pub fn policy(number: u64) -> String {
    replaced(
        include_str!("../../samples/policies/storm.weir"),
        &[("# deploy 0", &format!("# deploy {number}")), ("2..8", &format!("2..{}", 8 + number % 2))],
    )
}

/// The policy with thresholds that nothing reaches.
pub fn calm() -> String {
    let swaps = [("critical on 2 servers", "critical on 99 servers"), ("< 40%", "< 0.001%"), (">= 20", ">= 4000")];
    replaced(&policy(0), &swaps)
}

fn replaced(text: &str, swaps: &[(&str, &str)]) -> String {
    swaps.iter().fold(text.to_owned(), |text, (this, that)| {
        assert!(text.contains(this), "{this}");
        text.replace(this, that)
    })
}
