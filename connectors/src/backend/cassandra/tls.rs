//! Encryption on the way to Cassandra, in builds with the feature `tls`: OpenSSL, as for Kafka. The nodes' certificates
//! must be signed by one of the configured file; names are not compared, so that file should sign nothing but nodes.

use super::{
    super::{Error, Result},
    Settings,
};
use scylla::client::session_builder::SessionBuilder;

/// What the settings say of TLS.
pub(super) fn apply(builder: SessionBuilder, settings: &Settings) -> Result<SessionBuilder> {
    let Some(ca_file) = &settings.ca_file else { return Ok(builder) };
    with(builder, ca_file)
}

#[cfg(feature = "tls")]
fn with(builder: SessionBuilder, ca_file: &std::path::Path) -> Result<SessionBuilder> {
    use openssl::ssl::{SslConnector, SslMethod};
    use scylla::client::session::{OpenSsl010Config, TlsContext};
    let connector = || {
        let mut connector = SslConnector::builder(SslMethod::tls())?;
        connector.set_ca_file(ca_file)?;
        Ok(connector)
    };
    let connector = connector().map_err(|error: openssl::error::ErrorStack| {
        Error::Failed(format!("`{}` holds no certificates that can be used: {error}", ca_file.display()))
    })?;
    Ok(builder.tls_context(Some(TlsContext::OpenSsl010Config(OpenSsl010Config::new(connector)))))
}

#[cfg(not(feature = "tls"))]
fn with(_: SessionBuilder, _: &std::path::Path) -> Result<SessionBuilder> {
    Err(Error::Failed("this build has no TLS for Cassandra: build it with `--features tls`, or take `tls` out".into()))
}
