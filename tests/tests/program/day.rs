//! The simulated day, as fast as it goes.

use super::server::run;

#[test]
fn a_day_grows_holds_shrinks_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let day = run(folder.path(), &["demo", "--seconds", "1", "--exit", "--data", "day", "--listen", "127.0.0.1:0"]);
    assert_eq!(day.code, 0, "{day:?}");
    let lines: Vec<&str> = day.out.lines().collect();
    let has = |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has(&["00:00  web", "starts, 3..24"]), "{}", day.out);
    assert!(has(&["07:00  web", "business_hours opens, floor 6"]), "{}", day.out);
    assert!(has(&["failing: web_5xx is critical on 2 servers"]), "{}", day.out);
    assert!(has(&["cpu wishes", "held by its cooldown until"]), "{}", day.out);
    assert!(has(&["web", "quiet: avg(cpu.usage over 15m)"]), "{}", day.out);
    let sum = lines.last().unwrap();
    assert!(sum.starts_with(" 24:00  ") && sum.contains(" 0 missed · "), "{sum}");
    let number = |words: &str| -> u32 {
        let before = sum.split(words).next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(number(" changes") >= 20 && number(" held") >= 3, "{sum}");
    assert!(number(" server-hours") < number(" if fixed"), "{sum}");
}
