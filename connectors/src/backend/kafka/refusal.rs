//! Why Kafka does not speak with us: TLS, certificates, names and passwords, each with the setting to correct.

use super::{
    super::Error,
    failure::{cannot, words},
    settings::{Security, Settings},
};
use rdkafka::{
    ClientContext, client::DefaultClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
    types::RDKafkaErrorCode,
};
use std::sync::{Mutex, PoisonError};

/// What a consumer's client tells in passing goes into the log of the process, but not that it has read to an end: it does so at
/// every record. Why a broker was not spoken to is kept, since a call that fails says only that none answered.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::PartitionEOF) else {
            return;
        };
        tracing::warn!(reason, "Kafka: {}", words(&error));
        if matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) {
            self.keep(code, reason);
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // A broker that hangs up on the first words is told of nowhere else: one side speaks TLS and the other does not.
        if text.contains("in state APIVERSION_QUERY") || text.contains("in state SSL_HANDSHAKE") {
            self.keep(RDKafkaErrorCode::BrokerTransportFailure, text);
        }
        DefaultClientContext.log(level, facility, text);
    }
}

impl Quiet {
    fn keep(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What a broker said weighs more than that it hung up.
        if code != RDKafkaErrorCode::BrokerTransportFailure || kept.is_none() {
            *kept = Some((code, reason.to_owned()));
        }
    }

    /// Why brokers do not speak with who was made by these settings, where they said so. That one hung up may pass, so
    /// it is told only `late`.
    pub(super) fn refusal(&self, settings: &Settings, late: bool) -> Option<String> {
        let refusal = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match refusal? {
            (RDKafkaErrorCode::Authentication, _) => Some(settings.refused()),
            (RDKafkaErrorCode::SSL, reason) => Some(settings.not_encrypted(&reason)),
            (_, reason) => late.then(|| settings.hung_up(&reason)),
        }
    }
}

impl ConsumerContext for Quiet {}

impl Settings {
    /// Why there is not even a client: what it was told does not go together, or this build cannot do it.
    pub(super) fn unusable(&self, error: &KafkaError) -> Error {
        let text = error.to_string();
        let wrong = match &self.security {
            Security { ca_file: Some(file), .. } if text.contains("ssl.ca.location") => {
                format!("`{}` holds no certificates that can be used; correct `ca_file` of `[log]`", file.display())
            }
            Security { tls: true, .. } if cfg!(not(feature = "tls")) => {
                "this build has no TLS for Kafka: build it with `--features tls`, or take `tls` out of `[log]`".into()
            }
            Security { sasl: Some((mechanism, ..)), .. } if cfg!(not(feature = "tls")) && mechanism != "PLAIN" => {
                format!(
                    "this build has no {mechanism} for Kafka: build it with `--features tls`, or prove it by `PLAIN`"
                )
            }
            _ => return cannot("make a consumer", error),
        };
        Error::Failed(wrong)
    }

    fn not_encrypted(&self, reason: &str) -> String {
        let brokers = self.brokers.join(",");
        if reason.contains("certificate verify failed") {
            let trusted = match &self.security.ca_file {
                Some(file) => format!("`{}` does not sign it, or it is for another name", file.display()),
                None => "no authority that this system trusts signs it, or it is for another name".to_owned(),
            };
            return format!(
                "the certificate of Kafka (`{brokers}`) is refused: {trusted}; correct `ca_file` or `brokers` of `[log]` \
                 ({reason})"
            );
        }
        format!("Kafka (`{brokers}`) does not speak TLS as it should: {reason}; correct `brokers` or `tls` of `[log]`")
    }

    fn hung_up(&self, reason: &str) -> String {
        match (&self.security.tls, self.brokers.join(",")) {
            (true, _) => self.not_encrypted(reason),
            (false, brokers) => format!(
                "Kafka (`{brokers}`) hangs up on who speaks plainly: it may want TLS, then write `tls = true` into `[log]`"
            ),
        }
    }

    fn refused(&self) -> String {
        let brokers = self.brokers.join(",");
        match &self.security.sasl {
            Some((mechanism, user, _)) => format!(
                "Kafka (`{brokers}`) refuses the credentials of `{user}` by {mechanism}: correct `credentials_file` or \
                 `mechanism` of `[log]`"
            ),
            None => format!("Kafka (`{brokers}`) asks for a user and a password: name a `credentials_file` in `[log]`"),
        }
    }
}
