//! Bodies that a broken, hostile or simply different server might answer where a page of a feed is expected.
//!
//! Each comes with the words that the error must contain. They are read here by the page reader alone, and served by
//! [`feed_server`](crate::feed_server) to a whole poller, whose cursor must stay where it was.

/// A body and what must be said about it.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What is wrong with it.
    pub name: String,
    /// Its `Content-Type`.
    pub media: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// A part of the error's text.
    pub says: &'static str,
}

const XML: &str = "application/atom+xml";
const JSON: &str = "application/json";
const OPEN: &str = r#"<feed xmlns="http://www.w3.org/2005/Atom">"#;

/// All of them.
#[must_use]
pub fn hostile_feeds() -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |name: &str, media, body: &[u8], says| {
        all.push(Hostile { name: name.to_owned(), media, body: body.to_vec(), says });
    };

    for (name, dtd) in [
        ("a bare doctype", "<!DOCTYPE feed>"),
        ("a doctype elsewhere", r#"<!DOCTYPE feed SYSTEM "http://127.0.0.1:9/feed.dtd">"#),
        ("a public doctype", r#"<!DOCTYPE feed PUBLIC "-//X//Y" "http://127.0.0.1:9/feed.dtd">"#),
        ("a file as entity", r#"<!DOCTYPE feed [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>"#),
        ("an address as entity", r#"<!DOCTYPE feed [<!ENTITY xxe SYSTEM "http://169.254.169.254/latest/">]>"#),
        ("a parameter entity", r#"<!DOCTYPE feed [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>"#),
        ("default attributes", r#"<!DOCTYPE feed [<!ATTLIST entry id CDATA "urn:forged">]>"#),
        ("a notation", r#"<!DOCTYPE feed [<!NOTATION n SYSTEM "n">]>"#),
        ("a program as entity", r#"<!DOCTYPE feed [<!ENTITY xxe SYSTEM "expect://id">]>"#),
        ("a conditional section", r#"<!DOCTYPE feed [<![INCLUDE[<!ENTITY xxe "x">]]>]>"#),
        ("a doctype behind a comment", r#"<!-- feed --><!DOCTYPE feed [<!ENTITY xxe "x">]>"#),
        ("a doctype behind a mark", "\u{feff}<!DOCTYPE feed>"),
        ("an entity that names itself", r#"<!DOCTYPE feed [<!ENTITY xxe "&xxe;">]>"#),
        ("an entity that hides its begin", r#"<!DOCTYPE feed [<!ENTITY % a "&#60;!ENTITY xxe 'x'>"> %a;]>"#),
    ] {
        add(
            name,
            XML,
            format!("{dtd}{OPEN}<entry><id>&xxe;</id></entry></feed>").as_bytes(),
            "document type definition",
        );
    }
    let laughs: String =
        (1..10).map(|n| format!(r#"<!ENTITY l{n} "{}">"#, format!("&l{};", n - 1).repeat(10))).collect();
    let bomb = format!(r#"<!DOCTYPE feed [<!ENTITY l0 "ha">{laughs}]>{OPEN}<title>&l9;</title></feed>"#);
    add("a billion laughs", XML, bomb.as_bytes(), "document type definition");
    let blowup = format!(r#"<!DOCTYPE f [<!ENTITY a "{}">]>{OPEN}{}</feed>"#, "a".repeat(50_000), "&a;".repeat(50_000));
    add("a quadratic blow-up", XML, blowup.as_bytes(), "document type definition");

    for (name, inside, says) in [
        ("an entity nobody defined", "<entry><id>&xxe;</id></entry>", "`&xxe;`"),
        ("HTML's entities", "<title>caf&eacute;</title>", "`&eacute;`"),
        ("an entity in an attribute", r#"<entry><category term="&who;"/></entry>"#, "`&who;`"),
        ("an entity in content that is walked over", "<title><b>&xxe;</b></title>", "`&xxe;`"),
        ("a null by its number", "<entry><id>a&#0;b</id></entry>", "not well-formed"),
        ("a control character by its number", "<entry><id>a&#x1b;b</id></entry>", "does not allow"),
        ("a character beyond Unicode", "<entry><id>&#x110000;</id></entry>", "not well-formed"),
        ("a half of a surrogate", "<entry><id>&#xD800;</id></entry>", "not well-formed"),
        ("an entity without a name", "<entry><id>&;</id></entry>", "`&;`"),
        ("a number without digits", "<entry><id>&#;</id></entry>", "not well-formed"),
        ("a number that is none", "<entry><id>&#xZZ;</id></entry>", "not well-formed"),
        ("a number below zero", "<entry><id>&#-1;</id></entry>", "not well-formed"),
        ("a number beyond all", "<entry><id>&#99999999999999999999;</id></entry>", "not well-formed"),
        ("a null by its number in an attribute", r#"<entry><category term="&#0;"/></entry>"#, "not well-formed"),
        ("an entity without an end", "<entry><id>&amp</id></entry>", "not well-formed"),
        ("an element without a name", "<entry><></></entry>", "not well-formed"),
        ("an end without a name", "<entry></></entry>", "not well-formed"),
        ("quotes that do not match", r#"<entry a="1'/>"#, "not well-formed"),
        ("a conditional section outside a doctype", "<![IGNORE[x]]>", "not well-formed"),
        ("an entity declared outside a doctype", r#"<!ENTITY a "b">"#, "not well-formed"),
        ("a dangling ampersand", "<entry><id>a & b</id></entry>", "not well-formed"),
        ("an element left open", "<entry><id>a</id>", "not well-formed"),
        ("an element closed twice", "<entry></entry></entry>", "not well-formed"),
        ("elements that overlap", "<entry><id>a</entry></id>", "not well-formed"),
        ("a prefix nobody declared", "<x:entry/>", "the prefix `x`"),
        ("an attribute without quotes", "<entry lang=en/>", "not well-formed"),
        ("an attribute without a value", "<entry hidden/>", "not well-formed"),
        ("the same attribute twice", r#"<entry a="1" a="2"/>"#, "not well-formed"),
        ("a comment without an end", "<!-- <entry/>", "not well-formed"),
        ("character data without an end", "<entry><id><![CDATA[a</id></entry>", "not well-formed"),
        ("a processing instruction without an end", "<?x <entry/>", "not well-formed"),
        ("a second declaration", r#"<?xml version="1.0"?>"#, "not at the start"),
        ("a doctype inside", "<!DOCTYPE entry>", "document type definition"),
        (
            "a prefix bound to the namespace of namespaces",
            r#"<e xmlns:a="http://www.w3.org/2000/xmlns/"/>"#,
            "not well-",
        ),
        ("the prefix xml bound anew", r#"<e xmlns:xml="urn:x"/>"#, "not well-"),
        ("two ids", "<entry><id>a</id><id>b</id></entry>", "two of `id`"),
        ("two times", "<entry><updated>a</updated><updated>b</updated></entry>", "two of `updated`"),
        ("two contents", "<entry><content>a</content><content>b</content></entry>", "two of `content`"),
    ] {
        add(name, XML, format!("{OPEN}{inside}</feed>").as_bytes(), says);
    }

    let many = |text: &str, times| text.repeat(times);
    add("deep nesting", XML, format!("{OPEN}{}", many("<a>", 100_000)).as_bytes(), "64 elements inside one another");
    let deep = format!("{OPEN}<entry><content>{}{}</content></entry></feed>", many("<a>", 62), many("</a>", 62));
    add("deep nesting in content", XML, deep.as_bytes(), "64 elements inside one another");
    let attributes: String = (0..65).map(|n| format!(r#" a{n}="1""#)).collect();
    add("65 attributes", XML, format!("{OPEN}<entry{attributes}/></feed>").as_bytes(), "64 attributes");
    let root = OPEN.replace('>', &format!("{attributes}>"));
    add("65 attributes in the root", XML, format!("{root}</feed>").as_bytes(), "64 attributes");
    let content = format!("{OPEN}<entry><content><x{attributes}/></content></entry></feed>");
    add("65 attributes in content", XML, content.as_bytes(), "64 attributes");
    let nested = format!("{OPEN}{}", many(r#"<entry xmlns:a="urn:a"><content>"#, 50_000));
    add("entries inside entries", XML, nested.as_bytes(), "64 elements inside one another");
    let attributes: String = (0..100_000).map(|n| format!(r#" a{n}="1""#)).collect();
    add("100,000 attributes", XML, format!("{OPEN}<x{attributes}/></feed>").as_bytes(), "64 attributes");
    let spaces: String = (0..100_000).map(|n| format!(r#" xmlns:p{n}="urn:{n}""#)).collect();
    add("100,000 namespaces", XML, format!("{OPEN}<x{spaces}/></feed>").as_bytes(), "not well-formed");
    add("1,001 entries", XML, format!("{OPEN}{}</feed>", many("<entry/>", 1_001)).as_bytes(), "1000 entries");
    let categories = many(r#"<category term="a"/>"#, 65);
    add("65 categories", XML, format!("{OPEN}<entry>{categories}</entry></feed>").as_bytes(), "64 categories");
    let long = many("x", 1_025);
    add("a long id", XML, format!("{OPEN}<entry><id>{long}</id></entry></feed>").as_bytes(), "1024 bytes in an id");
    let references = many("&amp;", 1_025);
    add(
        "a long id of references",
        XML,
        format!("{OPEN}<entry><id>{references}</id></entry></feed>").as_bytes(),
        "in an id",
    );
    add("a long date", XML, format!("{OPEN}<entry><updated>{long}</updated></entry></feed>").as_bytes(), "in a date");
    let category = format!(r#"{OPEN}<entry><category term="{long}"/></entry></feed>"#);
    add("a long category", XML, category.as_bytes(), "in a category");
    let media = format!(r#"{OPEN}<entry><content type="{long}"/></entry></feed>"#);
    add("a long media type", XML, media.as_bytes(), "in a media type");
    let name = many("n", 1 << 20);
    add("a long name", XML, format!("{OPEN}<{name}></feed>").as_bytes(), "not well-formed");
    add("a long root", XML, format!("<{name}/>").as_bytes(), "not an Atom feed");
    add("a long entity", XML, format!("{OPEN}&{name};</feed>").as_bytes(), "entity");
    add("a long encoding", XML, format!("<?xml version=\"1.0\" encoding=\"{name}\"?>").as_bytes(), "only UTF-8");
    let content = format!("{OPEN}<entry><content>{}</content></entry></feed>", many("x", (1 << 20) + 1));
    add("a long content", XML, content.as_bytes(), "1048576 bytes in a content");
    add("a long page", XML, format!("{OPEN}{}</feed>", many(" ", 8 << 20)).as_bytes(), "8388608 bytes");

    add("nothing", XML, b"", "empty");
    add("blanks", XML, b" \n ", "empty");
    add("a declaration alone", XML, br#"<?xml version="1.0"?>"#, "empty");
    add("a comment alone", XML, b"<!-- nothing to see -->", "empty");
    add("plain text", "text/plain", b"Service Unavailable", "outside the root");
    add("a web page", "text/html", b"<!DOCTYPE html><html><body>down</body></html>", "document type definition");
    add("a web page without doctype", "text/html", b"<html><body>down</body></html>", "a `html`, not an Atom feed");
    add("another vocabulary", XML, br#"<rss version="2.0"><channel/></rss>"#, "a `rss`, not an Atom feed");
    add("a feed of another namespace", XML, br#"<feed xmlns="urn:other"/>"#, "a `feed`, not an Atom feed");
    add("a feed of no namespace", XML, b"<feed><entry/></feed>", "a `feed`, not an Atom feed");
    add("a catalogue", XML, br#"<service xmlns="http://www.w3.org/2007/app"/>"#, "a `service`");
    add(
        "a server's error page",
        XML,
        br#"<error xmlns="http://abdera.apache.org"><code>500</code></error>"#,
        "a `error`",
    );
    add("two feeds", XML, format!("{OPEN}</feed>{OPEN}</feed>").as_bytes(), "second root");
    add("text after the end", XML, format!("{OPEN}</feed>more").as_bytes(), "outside the root");
    add("an entity after the end", XML, format!("{OPEN}</feed>&amp;").as_bytes(), "outside the root");
    add("an end without a start", XML, b"</feed>", "not well-formed");
    add(
        "text before a declaration",
        XML,
        format!("\n<?xml version=\"1.0\"?>{OPEN}</feed>").as_bytes(),
        "not at the start",
    );

    let declared = |encoding: &str| format!(r#"<?xml version="1.0" encoding="{encoding}"?>{OPEN}</feed>"#).into_bytes();
    add("another encoding declared", XML, &declared("ISO-8859-1"), "only UTF-8");
    add("UTF-16 declared", XML, &declared("UTF-16"), "only UTF-8");
    add("UTF-7 declared", XML, &declared("UTF-7"), "only UTF-8");
    add("EBCDIC declared", XML, &declared("IBM037"), "only UTF-8");
    add(
        "an encoding in the header",
        "application/xml; charset=iso-8859-1",
        format!("{OPEN}</feed>").as_bytes(),
        "UTF-8",
    );
    let wide = |mark: [u8; 2], order: fn(u16) -> [u8; 2]| {
        let units = format!("{OPEN}</feed>").encode_utf16().flat_map(order).collect::<Vec<_>>();
        [&mark[..], &units].concat()
    };
    add("UTF-16, little end first", XML, &wide([0xff, 0xfe], u16::to_le_bytes), "utf-16");
    add("UTF-16, big end first", XML, &wide([0xfe, 0xff], u16::to_be_bytes), "utf-16");
    add("UTF-16 without a mark", XML, &wide([b' ', 0], u16::to_le_bytes), "control character");
    add("Latin-1", XML, &[OPEN.as_bytes(), b"<title>caf\xe9</title></feed>"].concat(), "not UTF-8");
    add("an overlong encoding", XML, &[OPEN.as_bytes(), b"\xc0\xbcentry></feed>"].concat(), "not UTF-8");
    add("a surrogate in UTF-8", XML, &[OPEN.as_bytes(), b"<title>\xed\xa0\x80</title></feed>"].concat(), "not UTF-8");
    add(
        "five bytes for one",
        XML,
        &[OPEN.as_bytes(), b"<title>\xf8\x88\x80\x80\x80</title></feed>"].concat(),
        "not UTF-8",
    );
    add("half a character at the end", XML, &[OPEN.as_bytes(), b"</feed>\xe2\x82"].concat(), "not UTF-8");
    add("UTF-32, little end first", XML, b"\xff\xfe\0\0<\0\0\0", "utf-16");
    add("a null byte", XML, &[OPEN.as_bytes(), b"\0</feed>"].concat(), "control character");
    add("an escape character", XML, &[OPEN.as_bytes(), b"<id>\x1b[2J</id></feed>"].concat(), "control character");
    add("compressed bytes", XML, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xb3\xb1", "not UTF-8");

    for (name, body, says) in [
        ("JSON: nothing", "", "empty"),
        ("JSON: an empty object", "{}", "neither `feed` nor `entry`"),
        ("JSON: both", r#"{"feed": {}, "entry": {}}"#, "or both"),
        ("JSON: a list", "[]", "not a JSON feed"),
        ("JSON: a number", "1", "not a JSON feed"),
        ("JSON: null", "null", "not a JSON feed"),
        ("JSON: a message", r#"{"message": "down"}"#, "neither `feed` nor `entry`"),
        ("JSON: a feed that is a text", r#"{"feed": "x"}"#, "not a JSON feed"),
        ("JSON: an entry that is a number", r#"{"feed": {"entry": [1]}}"#, "not a JSON feed"),
        ("JSON: an id that is a number", r#"{"entry": {"id": 7}}"#, "not a JSON feed"),
        ("JSON: an id said twice", r#"{"entry": {"id": "a", "id": "b"}}"#, "duplicate field"),
        ("JSON: a feed said twice", r#"{"feed": {}, "feed": {}}"#, "duplicate field"),
        ("JSON: an extra bracket", r#"{"feed": {"entry": []}}}"#, "trailing characters"),
        ("JSON: a second document", r#"{"feed": {}} {"feed": {}}"#, "trailing characters"),
        ("JSON: a comma too many", r#"{"feed": {"entry": [],}}"#, "trailing comma"),
        ("JSON: a comment", "{/* */}", "not a JSON feed"),
        ("JSON: a raw control character", "{\"entry\": {\"id\": \"a\u{1}\"}}", "control character"),
        ("JSON: half a surrogate", r#"{"entry": {"id": "\ud800"}}"#, "not a JSON feed"),
        ("JSON: single quotes", "{'feed': {}}", "not a JSON feed"),
        ("JSON: a key without quotes", "{feed: {}}", "not a JSON feed"),
        ("JSON: an escape that is none", r#"{"entry": {"id": "\x41"}}"#, "not a JSON feed"),
        ("JSON: a leading zero", r#"{"feed": {"n": 01}}"#, "not a JSON feed"),
        ("JSON: infinity", r#"{"feed": {"n": Infinity}}"#, "not a JSON feed"),
        ("JSON: a number without end", r#"{"feed": {"n": 1e}}"#, "not a JSON feed"),
        ("JSON: an entry in a list in a list", r#"{"feed": {"entry": [[{"id": "a"}]]}}"#, "not a JSON feed"),
        ("JSON: a feed that is a list", r#"{"feed": [{"entry": {"id": "a"}, "id": "b"}]}"#, "not a JSON feed"),
        ("JSON: an entry that is a list", r#"{"entry": ["a", "2026-11-24T08:00:00Z", [], "b"]}"#, "not a JSON feed"),
        ("JSON: a document that is a list", r#"[null, {"id": "a"}]"#, "not a JSON feed"),
        ("JSON: a category that is a text", r#"{"entry": {"id": "a", "category": "b"}}"#, "not a JSON feed"),
        ("JSON: a term that is a list", r#"{"entry": {"id": "a", "category": {"term": []}}}"#, "not a JSON feed"),
        ("JSON: a time that is a number", r#"{"entry": {"id": "a", "updated": 1}}"#, "not a JSON feed"),
        ("JSON: two contents", r#"{"entry": {"id": "a", "content": "b", "content": "c"}}"#, "duplicate field"),
        ("JSON: a feed in an entry", r#"{"entry": {"feed": {}}, "feed": {}}"#, "or both"),
        ("JSON: a record separator", "\u{1e}{\"feed\": {}}", "not a JSON feed"),
        ("JSON: not a number", r#"{"feed": NaN}"#, "not a JSON feed"),
        ("JSON by its type, XML by its looks", "<feed/>", "not a JSON feed"),
    ] {
        add(name, JSON, body.as_bytes(), says);
    }
    let deep = format!(r#"{{"feed": {{"entry": {}"#, many("[", 100_000));
    add("JSON: deep nesting", JSON, deep.as_bytes(), "not a JSON feed");
    let deep = format!(r#"{{"entry": {{"content": {}"#, many(r#"{"@text": "#, 100_000));
    add("JSON: deep texts", JSON, deep.as_bytes(), "recursion limit");
    let entries = many(r#"{"id": "a"},"#, 1_001);
    let entries = format!(r#"{{"feed": {{"entry": [{}]}}}}"#, entries.trim_end_matches(','));
    add("JSON: 1,001 entries", JSON, entries.as_bytes(), "more than 1000 in one list");
    let categories = many(r#"{"term": "a"},"#, 65);
    let categories = format!(r#"{{"entry": {{"id": "a", "category": [{}]}}}}"#, categories.trim_end_matches(','));
    add("JSON: 65 categories", JSON, categories.as_bytes(), "64 categories");
    add("JSON: a long id", JSON, format!(r#"{{"entry": {{"id": "{long}"}}}}"#).as_bytes(), "in an id");
    let content = format!(r#"{{"entry": {{"id": "a", "content": "{}"}}}}"#, many("x", (1 << 20) + 1));
    add("JSON: a long content", JSON, content.as_bytes(), "in a content");
    add("JSON: a long text for a feed", JSON, format!(r#"{{"feed": "{name}"}}"#).as_bytes(), "not a JSON feed");
    add("JSON: Latin-1", JSON, b"{\"entry\": {\"id\": \"caf\xe9\"}}", "not UTF-8");
    add("JSON: another encoding", "application/json; charset=utf-16", b"{}", "only UTF-8");
    all
}
