//! An HTTP server that sends the bytes it is told to, right or wrong. A proper one would correct them.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What is sent back before the connection is closed.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

impl Reply {
    /// A well-formed answer of JSON, or of what passes for it.
    #[must_use]
    pub fn json(status: u16, body: &str) -> Self {
        Self::with(status, "content-type: application/json\r\n", body.as_bytes())
    }

    /// An answer with further header lines, each ended.
    #[must_use]
    pub fn with(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct RawServer {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Answers each request by `reply`, which is given the request, head and body, as text.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (Arc::clone(&requests), Arc::new(reply));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
                // A client that hangs up early is none of our business.
                tokio::spawn(async move { serve(stream, &seen, reply.as_ref()).await.ok() });
            }
        });
        Ok(Self { address, requests, task })
    }

    /// The first lines of the requests so far, `GET /v2/servers`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    reply: &(dyn Fn(&str) -> Reply + Sync),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let request = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    let first = request.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(first);
    match reply(&request) {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Reply::Silence => {
            // Until the client has had enough.
            while stream.read_buf(&mut bytes).await? > 0 {}
            Ok(())
        }
    }
}
