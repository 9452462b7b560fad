//! `from source`: a policy that asks a Prometheus, Debian's, by itself. Nothing is scraped here: PromQL's `vector` is as
//! good a measurement as any, and says when it is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::Value;
use std::{
    fs,
    time::{Duration, Instant},
};
use weir_tests::{
    process::{Installation, PATIENCE},
    service::Service,
};

/// Panes of one second, so that a sample counts at once.
const POLICY: &str = r#"edition 2026
metric depth: number every 1s shared from source "prometheus" query "vector(61)"
metric load: percent every 1s from source "prometheus" query "label_replace(vector(90), 'server', 'web-1-1', '', '')"
metric odd: number every 1s shared from source "prometheus" query "vector("
metric nobody: number every 1s shared from source "promotheus" query "vector(1)"

launch small {
  image  "small-1"
  flavor "small"
}

group web {
  region   "SIM"
  capacity 1..9
  launch   small
  cooldown 1s
  warmup   0s

  rule loaded {
    when avg(load over 5s) > 80%
    raise to 2
  }
  rule deep {
    when last(depth over 5s) > 60
    raise to 3
    cooldown 1h
  }
  rule deaf {
    when missing(depth for 4s)
    raise to 9
  }
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_asks_prometheus_and_its_silence_is_not_the_customer_s() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    fs::write(&config, "global: { scrape_interval: 1h }\n").unwrap();
    let prometheus = Service::up("prometheus", &[config.to_str().unwrap()]).unwrap();
    let source = format!("[[source]]\nname = \"prometheus\"\nurl = \"{}\"\n", prometheus.url);
    let executor = "[executor]\nsweep = \"2s\"\nlook = \"300ms\"\n";
    let mut weir = Installation::new(env!("CARGO_BIN_EXE_weir-under-test"), &format!("{source}{executor}")).unwrap();
    fs::write(weir.folder().join("web.weir"), POLICY).unwrap();
    weir.start(&["web.weir"]).unwrap();
    weir.ready().await.unwrap();

    let began = Instant::now();
    let target =
        async || weir.door.get("/v1/groups/web").await.map_or(0, |group| group["target"].as_u64().unwrap_or(0));
    while target().await != 3 {
        assert!(began.elapsed() < PATIENCE, "it does not hear what it asked:\n{}", weir.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("figure: 3 servers {:.1} s after the start, by what Prometheus answered", began.elapsed().as_secs_f64());
    let said = weir.said();
    for words in ["parse error", "no `[[source]]` of the configuration is called `promotheus`"] {
        assert!(said.contains(words), "it says nothing of `{words}`:\n{said}");
    }

    // Away for three times as long as the rule would wait.
    drop(prometheus);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(target().await, 3, "our own deafness was taken for silence:\n{}", weir.said());

    let export = weir.run(&["log", "export"]).unwrap();
    weir.stop().unwrap();
    let export = String::from_utf8(export.stdout).unwrap();
    let facts: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str, say: &str| {
        let whole = |fact: &&Value| fact.to_string().contains(kind) && fact.to_string().contains(say);
        facts.iter().filter(whole).count()
    };
    assert!(of("weir.samples", "prometheus: vector(61)") >= 3, "samples are known by what was asked");
    assert!(of("weir.samples", "\"server\":[\"web-1-1\"]") >= 1, "a series has its server's name");
    assert!(of("weir.heartbeat", "\"healthy\":false") >= 6, "each round that failed is written down");
}
