//! What people read: pages, positions, exports.

use super::{CRITICAL, TIMEOUT, deployed, get, maas, now_ms, post, request};
use reqwest::Method;
use serde_json::json;
use weir::api::export::{Line, Recorded};
use weir_engine::{event::Record, partition::Partition, time::rfc3339};
use weir_tests::house::{House, tokens};

#[tokio::test]
async fn a_read_waits_for_its_position_and_a_page_follows_the_other() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    for _ in 0..5 {
        assert!(post(&house, "/v1/groups/web/rules/surge/force", "").await.is(200));
    }
    let early = get(&house, "/v1/groups?after=0:9999").await;
    assert!(early.is(425) && early.headers.contains_key("retry-after"), "{}", early.body);
    assert!(get(&house, "/v1/groups?after=7:1").await.is(400), "another partition is not this tenant's");
    assert!(get(&house, "/v1/groups?after=x").await.is(400) && get(&house, "/v1/groups?afte=0:1").await.is(400));
    let whole = get(&house, "/v1/groups/web/decisions?limit=1000").await.body["decisions"].clone();
    let (mut paged, mut before) = (Vec::new(), String::new());
    loop {
        let page = get(&house, &format!("/v1/groups/web/decisions?limit=2{before}")).await.body;
        paged.extend(page["decisions"].as_array().unwrap().iter().cloned());
        match page["before"].as_u64() {
            Some(serial) => before = format!("&before={serial}"),
            None => break,
        }
    }
    assert!(paged.len() >= 6);
    assert_eq!(json!(paged), whole, "newest first, nothing twice, nothing left out");
    assert!(get(&house, "/v1/groups/web/decisions?limit=0").await.is(400));
    assert!(get(&house, "/v1/groups/wep").await.detail().contains("nearest: web"));
}

#[tokio::test]
async fn an_export_stands_alone_and_shows_nobody_else() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    maas(&house, tokens::BETA_MAAS, CRITICAL).await;
    post(&house, "/v1/groups/web/rules/surge/force", "").await;
    maas(&house, tokens::BETA_MAAS, TIMEOUT).await;
    let last = post(&house, "/v1/groups/web/rules/surge/force", "").await.body["position"].clone();
    let text = request(&house, Method::GET, "/v1/log/export?from=0:1", tokens::ADMIN).send().await.unwrap();
    let text = text.text().await.unwrap();
    let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [Line::Header(header), Line::State(state), rest @ ..] = &lines[..] else { panic!("{text}") };
    assert_eq!((header.from, header.tenant.as_str()), (1, "acme"));
    assert_eq!(format!("0:{}", header.until - 1), last);
    assert!(!text.contains("beta"), "another tenant shows: {text}");
    // The stretch is run again from the state it carries: the same decisions at the same records.
    use base64::Engine as _;
    let state = base64::engine::general_purpose::STANDARD.decode(state).unwrap();
    let mut partition = Partition::restore(&state).unwrap();
    let (mut recorded, mut again) = (Vec::new(), Vec::new());
    for line in rest {
        match line {
            Line::Record(Recorded { offset, appended, event }) => {
                let record = Record { offset: *offset, appended_ms: *appended, event: event.clone() };
                again.extend(partition.step(&record).unwrap().decisions);
            }
            Line::Decision(decision) => recorded.push((**decision).clone()),
            Line::Header(_) | Line::State(_) | Line::Command(_) | Line::Digest(_) => panic!("{line:?}"),
        }
    }
    assert_eq!(recorded.len(), 3, "the start and two forces");
    assert_eq!(again, recorded);
    let group = get(&house, "/v1/log/export?from=0:1&group=other").await.body;
    assert!(!group.as_str().unwrap().contains("\"decision\""), "decisions of one group only");
    assert!(get(&house, "/v1/log/export?from=yesterday").await.is(400));
    let future = rfc3339(now_ms() + 3_600_000);
    assert!(get(&house, &format!("/v1/log/export?from={future}")).await.is(404));
}

#[tokio::test]
async fn what_this_process_does_not_run_is_said_and_not_made_up() {
    let house = House::open().await.unwrap();
    deployed(&house).await;
    let why = get(&house, "/v1/groups/web/why").await;
    assert!(why.is(501), "{}", why.body);
    let ready = get(&house, "/readyz").await;
    assert!(ready.is(200) && ready.body["partitions"][0]["live"] == true, "{}", ready.body);
    assert_eq!(get(&house, "/healthz").await.body, "ok\n");
}
