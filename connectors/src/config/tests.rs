#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;

fn wrong(text: &str) -> String {
    Config::read(text, Path::new("weir.toml")).unwrap_err().to_string()
}

#[test]
fn nothing_configured_is_one_tenant_on_loopback_with_a_simulated_cloud_everywhere() {
    let config = Config::read("", Path::new(FILE)).unwrap();
    assert!(config.listen.ip().is_loopback());
    assert_eq!(config.tenants.len(), 1);
    assert_eq!(config.cloud("default", "ANYWHERE").unwrap().kind, CloudKind::Simulated);
    assert!(config.cloud("other", "ANYWHERE").is_none(), "no tenant id is inferred");
}

#[test]
fn a_whole_file_is_read_with_paths_from_its_own_folder() {
    let text = r#"
        listen = "127.0.0.1:9000"
        [[tenant]]
        name = "acme"
        maas_token_file = "secrets/acme-maas"
        maas_tenant_ids = ["91111"]
        server_labels = ["host"]
        quota = { servers = 200, facts_per_second = 500 }
        [[tenant.token]]
        name = "ops"
        role = "operator"
        file = "/run/ops"
        [[cloud]]
        tenant = "acme"
        region = "LON"
        kind = "rackspace"
        auth_url = "https://identity.example.com/v2.0"
        credentials_file = "secrets/acme-lon.toml"
        launch_budget = "5 per 1m30s"
        [[feed]]
        tenant = "acme"
        url = "https://feeds.example.com/nova/events"
        [executor]
        sweep = "10m"
    "#;
    let config = Config::read(text, Path::new("/etc/weir/weir.toml")).unwrap();
    let tenant = config.tenant("acme").unwrap();
    assert_eq!(tenant.maas_token_file.as_deref(), Some(Path::new("/etc/weir/secrets/acme-maas")));
    assert_eq!(tenant.tokens[0].file, Path::new("/run/ops"), "an absolute path stays");
    assert_eq!(config.data, Path::new("/etc/weir/weir-data"));
    assert_eq!(config.feeds[0].name, "nova-events");
    assert_eq!(config.executor.sweep.ms(), 600_000);
    let cloud = config.cloud("acme", "LON").unwrap();
    assert_eq!((cloud.launch_budget.count, cloud.launch_budget.per.ms()), (5, 90_000));
    assert!(config.cloud("acme", "DFW").is_none(), "a region nobody configured is nobody's account");
}

#[test]
fn a_simulated_cloud_has_its_behaviour_beside_it() {
    let acme = "[[tenant]]\nname=\"acme\"\n[[cloud]]\ntenant=\"acme\"\nkind=\"simulated\"\n[cloud.simulated]\n";
    let config = Config::read(&format!("{acme}quota = 6\nbuild_ms = [1, 2]"), Path::new("weir.toml")).unwrap();
    let settings = config.cloud("acme", "LON").unwrap().simulated.clone().unwrap();
    assert_eq!((settings.quota, settings.build_ms), (6, (1, 2)));
    assert_eq!(wrong(&format!("{acme}qota = 6")), "weir.toml:7: unknown key `qota`, did you mean `quota`?");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    assert_eq!(
        wrong("listen = \"127.0.0.1:1\"\nlissten = 1"),
        "weir.toml:2: unknown key `lissten`, did you mean `listen`?"
    );
    let text = "[[tenant]]\nname = \"a\"\nserver_label = []\n";
    assert_eq!(wrong(text), "weir.toml:3: unknown key `server_label`, did you mean `server_labels`?");
    assert!(wrong("zzz = 1").contains("known here: listen, data, tenant"), "{}", wrong("zzz = 1"));
}

#[test]
fn what_this_build_has_not_is_said_plainly() {
    let log = "[log]\nkind = \"kafka\"\nbrokers = [\"127.0.0.1:9092\"]";
    assert!(wrong(log).contains("`[log]` of kind `kafka` needs a store that many processes share"), "{}", wrong(log));
    let store = "[store]\nkind = \"cassandra\"\nnodes = [\"127.0.0.1:9042\"]";
    assert!(wrong(store).contains("`[store]` of kind `cassandra` stands behind a log in Kafka"), "{}", wrong(store));
    let cloud = "[[tenant]]\nname=\"a\"\n[[cloud]]\ntenant=\"a\"\nregion=\"X\"\nkind=\"openstack\"";
    assert_eq!(wrong(cloud), "weir.toml:6: no cloud of kind `openstack`: this build has `simulated` and `rackspace`");
}

#[test]
fn settings_that_do_not_meet_are_refused() {
    let acme = "[[tenant]]\nname=\"acme\"\n";
    let other = "[[tenant]]\nname=\"b\"\nmaas_tenant_ids=[\"1\"]\n[[tenant]]\nname=\"c\"\nmaas_tenant_ids=[\"1\"]";
    for (text, said) in [
        (format!("{acme}{acme}"), "two tenants are called `acme`"),
        (format!("{acme}[[cloud]]\ntenant=\"acm\"\nkind=\"simulated\""), "nearest: `acme`"),
        (format!("{acme}[[cloud]]\ntenant=\"acme\"\nregion=\"L\"\nkind=\"rackspace\""), "needs a `credentials_file`"),
        (other.to_owned(), "both have \"1\""),
        ("[[tenant]]\nname=\"a b\"".to_owned(), "cannot be a tenant's name"),
        (format!("{acme}[[feed]]\ntenant=\"acme\"\nurl=\"ftp://x/\""), "no http or https URL"),
        (format!("{acme}[[feed]]\ntenant=\"acme\"\nurl=\"http://u:p@x/\""), "carries a password"),
    ] {
        assert!(wrong(&text).contains(said), "{text}: {}", wrong(&text));
    }
}

#[test]
fn lengths_and_budgets_are_read_as_policies_write_them() {
    for (text, ms) in [("250ms", 250), ("90s", 90_000), ("1h30m", 5_400_000), ("7d", 604_800_000)] {
        assert_eq!(text.parse::<Length>().unwrap().ms(), ms);
    }
    for text in ["", "5", "0s", "-1s", "1.5h", "1x", "s", "99999999999999d"] {
        assert!(text.parse::<Length>().is_err(), "{text}");
    }
    for text in ["20", "0 per 1m", "20 per", "x per 1m", "20 per 0s"] {
        assert!(text.parse::<Budget>().is_err(), "{text}");
    }
}
