//! Servers that are down, broken or hostile: an error that says so, and the cursor where it was.

use crate::bench::{Bench, id, once, post};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use weir::source::atom::Error;
use weir_tests::{
    feed_server::{Fault, FeedServer},
    hostile_feeds::hostile_feeds,
};

#[tokio::test]
async fn a_page_cut_in_the_middle_moves_no_cursor_and_loses_nothing() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..10);
    poller.round().await.unwrap();
    bench.publish_over_time(10..30);
    for permille in [0, 1, 50, 300, 500, 700, 950, 990] {
        let (cursor, effects) = (bench.cursor(), bench.effects());
        bench.server.fail([Fault::Cut(permille)]);
        let error = poller.round().await.unwrap_err();
        assert!(matches!(error, Error::Page(_)), "{permille}: {error}");
        assert_eq!((bench.cursor(), bench.effects()), (cursor, effects), "{permille}");
    }
    bench.server.asked();
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..30));
    assert!(bench.server.asked().len() >= 3, "page after page");
}

#[tokio::test]
async fn an_error_on_a_later_page_keeps_what_the_earlier_ones_gave() {
    let mut bench = Bench::new().await;
    bench.limit = 10;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..30);
    // The oldest page, ten more, and then nothing.
    let right = Fault::Cut(1_000);
    bench.server.fail([right.clone(), right, Fault::Cut(500)]);
    poller.round().await.unwrap_err();
    assert_eq!((bench.effects(), bench.marker()), (once(0..20), id(19)));
    poller.round().await.unwrap();
    assert_eq!((bench.effects(), bench.marker()), (once(0..30), id(29)));
}

#[tokio::test]
async fn a_connection_that_ends_early_is_no_page() {
    let bench = Bench::new().await;
    drop(bench.begun().await);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut feed = bench.feed();
    feed.url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        let body = r#"<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:uuid:1</id></entry></feed>"#;
        for (head, body) in [
            ("Content-Length: 5000\r\n", body.to_owned()),
            ("Transfer-Encoding: chunked\r\n", format!("{:x}\r\n{body}\r\n", body.len())),
            ("", "<feed xmlns=\"http://www.w3.org/2005/Atom\">".to_owned()),
            ("Content-Length: 99999999\r\n", "<feed xmlns=\"http://www.w3.org/2005/Atom\">".repeat(400_000)),
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/atom+xml\r\n{head}\r\n{body}");
            // Who has read enough goes away, and the rest cannot be sent.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let before = bench.cursor();
    let mut poller = bench.poller_of(feed, Arc::clone(&bench.log), Arc::new(|_| true), Arc::new(|_| {}));
    for kind in ["no answer", "no answer", "ends inside", "more than 8388608 bytes"] {
        let error = poller.round().await.unwrap_err().to_string();
        assert!(error.contains(kind), "{error}");
    }
    serving.await.unwrap();
    assert_eq!(bench.cursor(), before);
}

#[tokio::test]
async fn a_hostile_page_is_an_error_and_the_cursor_stays() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..3);
    poller.round().await.unwrap();
    bench.publish_over_time(3..5);
    let (cursor, effects) = (bench.cursor(), bench.effects());
    let mut first = bench.poller();
    for hostile in hostile_feeds() {
        for poller in [&mut poller, &mut first] {
            bench.server.fail([Fault::Body(hostile.media, hostile.body.clone())]);
            let error = poller.round().await.expect_err(&hostile.name).to_string();
            assert!(error.contains(hostile.says), "{}: {error}", hostile.name);
        }
    }
    assert_eq!((bench.cursor(), bench.effects()), (cursor, effects));
    poller.round().await.unwrap();
    assert_eq!(bench.effects(), once(0..5));
}

#[tokio::test]
async fn pages_that_run_in_a_circle_are_an_error() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..2);
    poller.round().await.unwrap();
    let page = |ids: &[&str]| {
        let entries: String = ids.iter().map(|id| format!("<entry><id>{id}</id></entry>")).collect();
        Fault::Body(
            "application/atom+xml",
            format!(r#"<feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>"#).into(),
        )
    };
    bench.server.fail([page(&["b", "a"]), page(&["d", "c"]), page(&["b", "a"]), page(&["d", "c"])]);
    let error = poller.round().await.unwrap_err();
    assert!(matches!(&error, Error::Circle(marker) if marker == "b"), "{error}");

    bench.server.fail([page(&["f"]), page(&["f"]), page(&["e"])]);
    poller.round().await.unwrap();
    assert_eq!(bench.server.asked().last().unwrap().matches("marker=f").count(), 1, "its own marker ends a round");

    // Walking back, at a start.
    bench.server.fail([page(&["z", "y"]), page(&["y", "x"]), page(&["x", "y"]), page(&["y", "x"]), page(&["x", "y"])]);
    let error = bench.poller().round().await.unwrap_err();
    assert!(matches!(&error, Error::Circle(_)), "{error}");
}

#[tokio::test]
async fn a_feed_that_is_down_is_read_when_it_is_up_again() {
    let bench = Bench::new().await;
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..5);
    bench.server.fail([Fault::Down, Fault::Status(503, "retry-after", "7".to_owned()), Fault::Down]);
    for after in [None, Some(Duration::from_secs(7)), None] {
        let error = poller.round().await.unwrap_err();
        assert!(matches!(&error, Error::Status { after: it, .. } if *it == after), "{error}");
        assert!(!error.to_string().contains("select"), "a server's inside is nobody's business: {error}");
    }
    poller.round().await.unwrap();
    assert_eq!((bench.effects(), poller.counts().failures()), (once(0..5), 3));
}

#[tokio::test]
async fn nothing_that_a_feed_says_sends_us_elsewhere() {
    let bench = Bench::new().await;
    let elsewhere = FeedServer::start(Arc::new(bench.clock.clone())).await.unwrap();
    elsewhere.publish(post(99));
    let mut poller = bench.begun().await;
    bench.publish_over_time(0..3);

    for status in [301, 302, 303, 307, 308] {
        bench.server.fail([Fault::Status(status, "location", elsewhere.url())]);
        let error = poller.round().await.unwrap_err();
        assert!(matches!(error, Error::Moved { status: it } if it == status), "{error}");
    }
    let url = elsewhere.url();
    let page = format!(
        r#"<?xml version="1.0"?><?xml-stylesheet href="{url}"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="{url}">
        <link rel="previous" href="{url}?marker=x"/><link rel="next" href="{url}?marker=y"/><link rel="hub" href="{url}"/>
        <logo>{url}</logo><entry><id>{url}</id><content type="application/json" src="{url}"/></entry></feed>"#
    );
    bench.server.fail([Fault::Body("application/atom+xml", page.into())]);
    // Its only entry's id is the marker then, which the feed does not know.
    let _ = poller.round().await;
    poller.round().await.unwrap();
    assert_eq!(elsewhere.asked(), [""; 0]);
    assert_eq!(bench.effects(), once(0..3));
}
