//! What Cassandra's errors mean to who asked: whether to try again, whether the write may have happened, what to do.

use super::{super::Error, Settings};
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError,
};
use std::path::Path;

/// A failed request.
pub(super) struct Trouble {
    /// It may pass: a node that is away, busy or slow.
    pub(super) passing: bool,
    /// It may have been carried out all the same.
    pub(super) perhaps_done: bool,
    /// In words.
    pub(super) text: String,
}

impl Trouble {
    /// `nodes`: whom it was asked of.
    pub(super) fn of(error: &ExecutionError, nodes: &str) -> Self {
        match error {
            ExecutionError::RequestTimeout(limit) => Self {
                passing: true,
                perhaps_done: true,
                text: format!("Cassandra (`{nodes}`) did not answer within {} s", limit.as_secs()),
            },
            ExecutionError::LastAttemptError(attempt) => Self::of_attempt(attempt, nodes),
            ExecutionError::ConnectionPoolError(pool)
            | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(pool)) => Self::of_pool(pool, nodes),
            ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
                Self::of_attempt(first_attempt, nodes)
            }
            ExecutionError::EmptyPlan => Self::away(nodes, "no node can be asked"),
            other => Self { passing: false, perhaps_done: false, text: format!("Cassandra (`{nodes}`): {other}") },
        }
    }

    fn of_attempt(attempt: &RequestAttemptError, nodes: &str) -> Self {
        match attempt {
            RequestAttemptError::BrokenConnectionError(how) => Self {
                passing: true,
                perhaps_done: true,
                text: format!("Cassandra (`{nodes}`) went away during a request: {how}"),
            },
            RequestAttemptError::UnableToAllocStreamId => Self::away(nodes, "too many requests at once"),
            RequestAttemptError::DbError(error, words) => Self::of_server(error, words, nodes),
            other => Self { passing: false, perhaps_done: false, text: format!("Cassandra (`{nodes}`): {other}") },
        }
    }

    fn of_server(error: &DbError, words: &str, nodes: &str) -> Self {
        let (passing, perhaps_done) = match error {
            DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::ReadTimeout { .. }
            | DbError::ReadFailure { .. }
            | DbError::RateLimitReached { .. }
            // The client prepares it anew once; a schema that is changed again in between makes the node forget it again.
            | DbError::Unprepared { .. } => (true, false),
            DbError::WriteTimeout { .. }
            | DbError::WriteFailure { .. }
            | DbError::ServerError
            | DbError::TruncateError => (true, true),
            _ => (false, false),
        };
        let text = match error {
            // A table or column that is not there, or of another type.
            DbError::Invalid => format!("Cassandra (`{nodes}`) refuses a request: {words}; run `weir setup`"),
            DbError::Unauthorized => format!(
                "Cassandra (`{nodes}`) refuses a request: {words}; grant it to the user of `credentials_file`, or name \
                 another there"
            ),
            _ => format!("Cassandra (`{nodes}`): {error}: {words}"),
        };
        Self { passing, perhaps_done, text }
    }

    fn of_pool(pool: &ConnectionPoolError, nodes: &str) -> Self {
        match pool {
            ConnectionPoolError::Broken { last_connection_error } => match refused(last_connection_error, nodes) {
                Some(text) => Self { passing: false, perhaps_done: false, text },
                None => Self::away(nodes, &last_connection_error.to_string()),
            },
            other => Self::away(nodes, &other.to_string()),
        }
    }

    fn away(nodes: &str, why: &str) -> Self {
        Self { passing: true, perhaps_done: false, text: format!("Cassandra (`{nodes}`) cannot be reached: {why}") }
    }

    /// As the port says it. `may_be_done`: some try of it, or of what belongs to it, may have been carried out.
    pub(super) fn error(self, may_be_done: bool) -> Error {
        match (may_be_done, self.passing) {
            (true, _) => Error::Unclear(self.text),
            (false, true) => Error::Away(self.text),
            (false, false) => Error::Failed(self.text),
        }
    }
}

/// Why there is no session.
pub(super) fn no_session(error: &NewSessionError, Settings { ca_file, .. }: &Settings, nodes: &str) -> Error {
    let ca_file = ca_file.as_deref();
    let text = match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => refused(last_connection_error, nodes)
            .or_else(|| not_encrypted(last_connection_error, ca_file, nodes))
            .unwrap_or_else(|| {
                format!(
                    "Cassandra (`{nodes}`) cannot be reached: {last_connection_error}; start it, or correct `nodes` of \
                 `[store]`"
                )
            }),
        NewSessionError::FailedToResolveAnyHostname(names) => {
            format!("no address is known for `{}`; correct `nodes` of `[store]`", names.join("`, `"))
        }
        other => format!("Cassandra (`{nodes}`): {other}"),
    };
    Error::Failed(text)
}

/// In words, where one side speaks TLS and the other does not, or what proves it is refused.
fn not_encrypted(error: &ConnectionError, ca_file: Option<&Path>, nodes: &str) -> Option<String> {
    match (error, ca_file) {
        (ConnectionError::IoError(error), Some(file)) if error.to_string().contains("certificate verify failed") => {
            let file = file.display();
            Some(format!(
                "the certificate of Cassandra (`{nodes}`) is refused: `{file}` does not sign it; correct `ca_file` of \
                 `[store]` ({error})"
            ))
        }
        (ConnectionError::IoError(error), Some(_)) if error.to_string().contains("SSL routines") => Some(format!(
            "Cassandra (`{nodes}`) does not speak TLS as it should: {error}; correct `nodes` or `tls` of `[store]`"
        )),
        (ConnectionError::ConnectionSetupRequestError(setup), None)
            if matches!(setup.get_error(), ConnectionSetupRequestErrorKind::BrokenConnection(_)) =>
        {
            Some(format!(
                "Cassandra (`{nodes}`) hangs up on who speaks plainly: it may want TLS, then write `tls = true` and \
                 `ca_file` into `[store]` ({error})"
            ))
        }
        _ => None,
    }
}

/// In words, where it is the user that is refused and not the network.
fn refused(error: &ConnectionError, nodes: &str) -> Option<String> {
    let ConnectionError::ConnectionSetupRequestError(setup) = error else { return None };
    match setup.get_error() {
        ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, words) => Some(format!(
            "Cassandra (`{nodes}`) refuses the credentials: {words}; correct `credentials_file` of `[store]`"
        )),
        ConnectionSetupRequestErrorKind::MissingAuthentication => Some(format!(
            "Cassandra (`{nodes}`) asks for a user and a password; name a `credentials_file` in `[store]`"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::WriteType;

    fn of(error: DbError) -> Error {
        let attempt = RequestAttemptError::DbError(error, "words".into());
        let trouble = Trouble::of(&ExecutionError::LastAttemptError(attempt), "127.0.0.1:9042");
        let may_be_done = trouble.perhaps_done;
        trouble.error(may_be_done)
    }

    #[test]
    fn what_passes_is_told_from_what_does_not_and_from_what_may_be_done() {
        let forgotten = DbError::Unprepared { statement_id: Default::default() };
        assert!(matches!(of(forgotten), Error::Away(_)), "refused before it was begun");
        assert!(matches!(of(DbError::Overloaded), Error::Away(_)));
        assert!(matches!(of(DbError::Invalid), Error::Failed(_)));
        let (consistency, write_type) = (scylla::frame::types::Consistency::LocalQuorum, WriteType::Simple);
        let late = DbError::WriteTimeout { consistency, received: 1, required: 2, write_type };
        assert!(matches!(of(late), Error::Unclear(_)));
    }
}
