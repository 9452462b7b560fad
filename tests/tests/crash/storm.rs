//! What everybody sends while the program is killed over and over: alarms, samples, events, forces, deploys. Each is its
//! own, so that it can be found again; what was answered with 2xx is remembered.

use reqwest::Method;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use weir::clock::{Clock, WallClock};
use weir_engine::id::Position;
use weir_tests::{
    dice::Dice,
    process::{Door, MAAS_TOKEN, TOKEN},
};

/// One sender tries the same fact again for so long, as real ones do, and then gives it up.
const TRIES: Duration = Duration::from_secs(10);

/// What the door has taken.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Where it said that it is.
    pub position: Position,
    /// The event's own key, where the sender gave it.
    pub key: Option<String>,
    /// What its `data` must hold.
    pub data: Value,
}

/// A request as it is sent, again and again if need be.
struct Request {
    method: Method,
    path: String,
    header: (&'static str, String),
    key: Option<String>,
    body: String,
    /// The key of the event that it becomes.
    id: Option<String>,
    data: Value,
}

/// All senders. They end with the value.
pub struct Storm {
    stop: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Acknowledged>>>,
    senders: Vec<JoinHandle<Sent>>,
}

/// What one kind of sender did.
#[derive(Debug, Default)]
pub struct Sent {
    pub kind: &'static str,
    pub taken: usize,
    pub given_up: usize,
}

/// Makes the `number`-th request of a kind.
type Make = fn(&mut Dice, u64, &Policies) -> Request;

/// The policy's text at each deploy.
pub type Policies = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// Each kind with its pause between two requests, milliseconds.
const KINDS: [(&str, u64, Make); 5] = [
    ("alarms", 25, alarm),
    ("samples", 40, sample),
    ("events", 100, event),
    ("forces", 300, force),
    ("deploys", 900, deploy),
];

impl Storm {
    /// Begins.
    pub fn begin(door: &Door, seed: u64, policies: &Policies) -> Self {
        let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let sender = |(index, (kind, pause_ms, make)): (usize, (&'static str, u64, Make))| {
            let sender = Sender {
                door: door.clone(),
                dice: Dice::new(seed.wrapping_add(index as u64)),
                stop: Arc::clone(&stop),
                taken: Arc::clone(&taken),
                policies: Arc::clone(policies),
            };
            tokio::spawn(sender.run(kind, pause_ms, make))
        };
        let senders = KINDS.into_iter().enumerate().map(sender).collect();
        Self { stop, taken, senders }
    }

    /// Ends when each sender's last request is answered or given up.
    pub async fn end(self) -> (Vec<Acknowledged>, Vec<Sent>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut sent = Vec::new();
        for sender in self.senders {
            sent.push(sender.await.unwrap());
        }
        let taken = self.taken.lock().unwrap().clone();
        (taken, sent)
    }

    /// A sender that was refused has panicked; this says so at once rather than at the end.
    pub fn must_go_on(&self) {
        assert!(self.senders.iter().all(|sender| !sender.is_finished()), "a sender broke off; see above");
    }
}

struct Sender {
    door: Door,
    dice: Dice,
    stop: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Acknowledged>>>,
    policies: Policies,
}

impl Sender {
    async fn run(mut self, kind: &'static str, pause_ms: u64, make: Make) -> Sent {
        let mut sent = Sent { kind, ..Sent::default() };
        for number in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let request = make(&mut self.dice, number, &self.policies);
            match self.send(&request).await {
                Some(position) => {
                    sent.taken += 1;
                    let Request { id: key, data, .. } = request;
                    self.taken.lock().unwrap().push(Acknowledged { position, key, data });
                }
                None => sent.given_up += 1,
            }
            tokio::time::sleep(self.dice.moment(2 * pause_ms)).await;
        }
        sent
    }

    /// Sends until it is taken; the same bytes under the same key each time.
    async fn send(&mut self, request: &Request) -> Option<Position> {
        let began = Instant::now();
        while began.elapsed() < TRIES {
            let mut sending = self.door.bare(request.method.clone(), &request.path).body(request.body.clone());
            sending = sending.header(request.header.0, &request.header.1);
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
                            return Some(answer["position"].as_str().unwrap().parse().unwrap());
                        }
                        // It is wise to try again; or another deploy was quicker, and this one is of no use any more.
                        425 | 429 | 500.. => {}
                        409 => return None,
                        // A sample sent again for half a minute is too old to be taken.
                        422 if request.path == "/v1/samples" => return None,
                        _ => {
                            panic!("{} {}: {status}: {}", request.method, request.path, String::from_utf8_lossy(&bytes))
                        }
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(20) + self.dice.moment(30)).await;
        }
        None
    }
}

fn bearer() -> (&'static str, String) {
    ("authorization", format!("Bearer {TOKEN}"))
}

/// Names of servers as the program gives them; at any moment some are there and some are not.
fn server(dice: &mut Dice) -> String {
    format!("web-{}-1", dice.below(40) + 1)
}

fn alarm(dice: &mut Dice, number: u64, _: &Policies) -> Request {
    let (server, state) = (server(dice), dice.one_of(&["OK", "WARNING", "CRITICAL"]));
    let (now_ms, text) = (WallClock.now_ms(), format!("storm {number}"));
    let (event_id, entry) = (format!("ac:en:al:ch:{now_ms}:{state}"), format!("entry-{number}"));
    let body = json!({
        "event_id": event_id, "log_entry_id": entry, "tenant_id": "91111",
        "details": { "timestamp": now_ms, "state": state, "status": text, "metrics": {} },
        "entity": { "id": "en", "label": server }, "alarm": { "id": "al", "label": "hot" },
    });
    Request {
        method: Method::POST,
        path: "/v1/alarms/maas".into(),
        header: ("x-rackspace-webhook-token", MAAS_TOKEN.into()),
        key: None,
        body: body.to_string(),
        id: Some(format!("{event_id}:{entry}")),
        data: json!({ "name": "hot", "state": state.to_lowercase(), "server": [server], "text": text }),
    }
}

fn sample(dice: &mut Dice, number: u64, _: &Policies) -> Request {
    let server = server(dice);
    // A value that no other sample has.
    let (percent, millionths) = (dice.below(80) + 10, number % 1_000_000);
    let body =
        format!(r#"{{"samples":[{{"metric":"cpu.usage","value":{percent}.{millionths:06},"server":"{server}"}}]}}"#);
    Request {
        method: Method::POST,
        path: "/v1/samples".into(),
        header: bearer(),
        key: None,
        body,
        id: None,
        data: json!([{ "metric": "cpu.usage", "value": percent * 1_000_000 + millionths, "server": [server] }]),
    }
}

fn event(_: &mut Dice, number: u64, _: &Policies) -> Request {
    let body = json!({
        "specversion": "1.0", "type": "com.example.deploy.done", "source": "/storm", "id": number.to_string(),
        "data": { "group": "batch" },
    });
    Request {
        method: Method::POST,
        path: "/v1/events".into(),
        header: bearer(),
        key: None,
        body: body.to_string(),
        id: Some(format!("/storm#{number}")),
        data: json!({ "kind": "com.example.deploy.done", "group": "batch" }),
    }
}

fn force(dice: &mut Dice, number: u64, _: &Policies) -> Request {
    let (group, rule) = dice.one_of(&[("web", "grow"), ("web", "shrink"), ("batch", "grow"), ("batch", "shrink")]);
    let key = format!("force-{number}");
    Request {
        method: Method::POST,
        path: format!("/v1/groups/{group}/rules/{rule}/force"),
        header: bearer(),
        key: Some(key.clone()),
        body: String::new(),
        id: Some(key),
        data: json!({ "group": group, "rule": rule }),
    }
}

fn deploy(_: &mut Dice, number: u64, policies: &Policies) -> Request {
    let (key, text) = (format!("deploy-{number}"), policies(number));
    Request {
        method: Method::PUT,
        path: "/v1/policies/storm.weir".into(),
        header: bearer(),
        key: Some(key.clone()),
        body: text.clone(),
        id: Some(key),
        data: json!({ "name": "storm.weir", "text": text }),
    }
}
