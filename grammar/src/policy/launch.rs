//! What a server is started from, and where it serves.

use serde::{Deserialize, Serialize};

/// A launch configuration: what a new server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Launch {
    /// Its name.
    pub name: String,
    /// Image, by name or id.
    pub image: String,
    /// Flavor, by name or id.
    pub flavor: String,
    /// Key pair.
    pub key: Option<String>,
    /// Networks, in order.
    pub networks: Vec<String>,
    /// Availability zones over which servers are spread.
    pub zones: Vec<String>,
    /// Volumes, in order.
    pub volumes: Vec<Volume>,
    /// A file beside the policy whose text is the user data.
    pub setup: Option<String>,
    /// Load balancers that a ready server joins.
    pub balancers: Vec<Balancer>,
    /// Metadata, in the order of the file.
    pub metadata: Vec<(String, String)>,
}

/// `volume 100GiB "SSD" on "/dev/vdb"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Volume {
    /// Size in bytes.
    pub bytes: u64,
    /// Volume type.
    pub kind: Option<String>,
    /// Device it is attached as.
    pub device: Option<String>,
}

/// `balancer "lb-4471" port 8443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Balancer {
    /// The balancer's id or name.
    pub name: String,
    /// The port on the server.
    pub port: u16,
}
