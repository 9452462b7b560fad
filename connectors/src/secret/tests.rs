#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use std::{fs, os::unix::fs::PermissionsExt};

fn config(folder: &Path, text: &str) -> Config {
    Config::read(text, &folder.join("weir.toml")).unwrap()
}

#[test]
fn the_first_run_makes_tokens_and_the_second_has_them_still() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let (ring, fresh) = Keyring::open(&config).unwrap();
    assert_eq!(fresh.len(), 2, "one for the API, one for monitoring");
    for made in &fresh {
        let token = made.token.expose_secret();
        assert_eq!(token.len(), 57, "Rackspace Monitoring takes 10 to 64 characters");
        let other = if made.gate == Gate::Api { Gate::Maas } else { Gate::Api };
        assert_eq!(ring.who(made.gate, token.as_bytes()).unwrap().tenant, "default");
        assert!(ring.who(other, token.as_bytes()).is_none(), "a token opens its own gate only");
    }
    let mode = fs::metadata(config.data.join(FILE)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let (again, fresh_again) = Keyring::open(&config).unwrap();
    assert!(fresh_again.is_empty());
    assert!(again.who(Gate::Api, fresh[0].token.expose_secret().as_bytes()).is_some());
    let local = local_token(&config, "default").unwrap().unwrap();
    assert_eq!(local.expose_secret(), fresh[0].token.expose_secret());
}

#[test]
fn tokens_from_files_carry_their_names_and_roles() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ops"), "an-operator-token-of-theirs\n").unwrap();
    fs::write(folder.path().join("maas"), "0123456789").unwrap();
    let text = "[[tenant]]\nname=\"acme\"\nmaas_token_file=\"maas\"\n[[tenant.token]]\nname=\"ops\"\nrole=\"operator\"\nfile=\"ops\"";
    let (ring, fresh) = Keyring::open(&config(folder.path(), text)).unwrap();
    assert!(fresh.is_empty());
    let ops = ring.who(Gate::Api, b"an-operator-token-of-theirs").unwrap();
    assert_eq!((ops.actor().as_str(), ops.role), ("ops@acme", Role::Operator));
    assert_eq!(ring.who(Gate::Maas, b"0123456789").unwrap().role, Role::Sender);
    assert!(ring.who(Gate::Maas, b"012345678").is_none());
}

#[test]
fn a_file_that_will_not_do_is_named_without_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let short = "ten-less";
    fs::write(folder.path().join("maas"), short).unwrap();
    let config_short = config(folder.path(), "[[tenant]]\nname=\"a\"\nmaas_token_file=\"maas\"");
    let said = Keyring::open(&config_short).unwrap_err().to_string();
    assert!(said.contains("must have 10 to 64") && !said.contains(short), "{said}");

    let text = "[[tenant]]\nname=\"a\"\ntoken_file=\"t\"\n[[tenant]]\nname=\"b\"\ntoken_file=\"t\"";
    fs::write(folder.path().join("t"), "one-token-for-two-tenants").unwrap();
    let said = Keyring::open(&config(folder.path(), text)).unwrap_err().to_string();
    assert!(said.contains("also admin@a's"), "{said}");

    let config = config(folder.path(), "");
    Keyring::open(&config).unwrap();
    let path = config.data.join(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Keyring::open(&config).unwrap_err().to_string().contains("chmod 600"));
}

#[test]
fn nothing_that_is_printed_shows_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (ring, fresh) = Keyring::open(&config(folder.path(), "")).unwrap();
    let printed = format!("{ring:?} {fresh:?}");
    for made in &fresh {
        assert!(!printed.contains(made.token.expose_secret()));
    }
}

#[test]
fn tokens_are_all_different() {
    let made: std::collections::BTreeSet<String> =
        (0..64).map(|_| make().unwrap().expose_secret().to_owned()).collect();
    assert_eq!(made.len(), 64);
    assert_eq!(base32(b"foobar"), "mzxw6ytboi", "as RFC 4648 has it");
}
