//! Commands that need no server.

use super::server::{run, weir};
use std::{fs, io::Write as _, process::Stdio};

const WEB: &str = include_str!("../../../policies/web.weir");

#[test]
fn check_and_test_end_with_what_they_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("web.weir", WEB);
    assert_eq!(run(folder.path(), &["check", "web.weir"]).code, 0);
    let tested = run(folder.path(), &["test"]);
    assert_eq!((tested.code, tested.err.as_str()), (0, ""), "{}", tested.out);

    write("web.weir", &WEB.replace("over 5m) at 60%", "over 5m) at 60"));
    let checked = run(folder.path(), &["check", "."]);
    assert_eq!(checked.code, 1);
    assert!(checked.out.contains("error[E0301]") && checked.out.contains("./web.weir:"), "{}", checked.out);
    assert_eq!(run(folder.path(), &["test"]).code, 1);
    assert_eq!(run(folder.path(), &["check", "gone.weir"]).code, 2);
    assert_eq!(run(folder.path(), &["chekc"]).code, 2);
    assert_eq!(run(folder.path(), &["run", "web.weir"]).code, 1, "a server does not start with what is wrong");
    assert!(!folder.path().join("weir-data").exists(), "and leaves nothing behind");
}

#[test]
fn nothing_is_coloured_and_nothing_breaks_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("web.weir"), WEB.replace("edition 2026", "edition 1999")).unwrap();
    let checked = run(folder.path(), &["check"]);
    assert!(!checked.out.contains('\x1b'), "{}", checked.out);
    // `head` goes away while more is to be said.
    let script = format!("{} completions bash | head -c 10", env!("CARGO_BIN_EXE_weir-under-test"));
    let piped = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(piped.stdout.len(), 10);
    assert_eq!(String::from_utf8_lossy(&piped.stderr), "");
}

#[test]
fn who_asks_nobody_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "a-token-of-twenty-characters").unwrap();
    let asked = run(folder.path(), &["status", "--server", "http://127.0.0.1:1", "--token-file", "token"]);
    assert_eq!(asked.code, 3);
    assert!(asked.err.starts_with("error: no server answers at http://127.0.0.1:1\n  = help: "), "{}", asked.err);
    let asked = run(folder.path(), &["status", "--data", "nowhere"]);
    assert_eq!(asked.code, 3);
    assert!(asked.err.contains("no server has run in `nowhere`"), "{}", asked.err);
    // This machine's own token goes to no other machine.
    let asked = run(folder.path(), &["status", "--server", "http://example.com"]);
    assert_eq!(asked.code, 2);
    fs::write(folder.path().join("weir.toml"), "lisen = \"127.0.0.1:1\"").unwrap();
    let asked = run(folder.path(), &["status"]);
    assert_eq!(asked.code, 2);
    assert!(asked.err.contains("did you mean `listen`"), "{}", asked.err);
}

#[test]
fn a_file_that_is_no_export_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.ndjson"), "{}\n").unwrap();
    let replayed = run(folder.path(), &["replay", "x.ndjson"]);
    assert_eq!(replayed.code, 2);
    assert!(replayed.err.contains("`x.ndjson`, line 1: "), "{}", replayed.err);
    let mut child = weir(folder.path(), &["replay", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\"state\"\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(2));
}
