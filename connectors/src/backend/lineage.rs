//! Where an installation came from and where it has gone, as `weir move` writes it down on both sides. What has gone does not
//! run any more, and what is not whole does not run yet; so a move that breaks off leaves nothing that acts, and repeated it
//! goes on where it was.

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use weir_engine::semantics;

/// What a log says of itself. One that began empty and was never moved says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lineage {
    /// The name in the marks of its servers, where they were made before this log: that of the log they were made under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
    /// What it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// Where it has gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Destination>,
    /// The newest meaning of the rules by which it may be decided, where an upgrade was ordered: written before the upgrade
    /// stands in the log, so that no process starts that would halt at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semantics: Option<u32>,
}

/// What a log began with, in place of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which log, and the positions up to which it was carried.
    pub of: String,
    /// All of it is here.
    pub whole: bool,
}

/// Where an installation has gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The log.
    pub log_id: String,
    /// The configuration that names it.
    pub config: String,
    /// All of it is there. Until then a move may be given up.
    pub whole: bool,
}

impl Lineage {
    /// The name in the marks of its servers.
    #[must_use]
    pub fn installation(&self, log_id: &str) -> String {
        self.installation.clone().unwrap_or_else(|| log_id.to_owned())
    }

    /// Refuses to work on what has gone, is not whole, or is decided by what this build does not know.
    ///
    /// # Errors
    /// [`Error::Failed`] with what to do.
    pub fn must_be_here(&self) -> Result<()> {
        match self {
            Self { to: Some(to), .. } => Err(Error::Failed(to.gone())),
            Self { from: Some(Origin { of, whole: false }), .. } => Err(Error::Failed(format!(
                "the log is being filled with {of}: repeat the `weir move` or `weir log import` that broke off"
            ))),
            Self { semantics: Some(semantics), .. } if !semantics::knows(*semantics) => {
                Err(Error::Failed(format!("the log was upgraded: {}", semantics::unknown(*semantics))))
            }
            _ => Ok(()),
        }
    }
}

impl Destination {
    /// That it has gone there, and what to do.
    #[must_use]
    pub fn gone(&self) -> String {
        let Self { log_id, config, whole } = self;
        if *whole {
            return format!(
                "the installation was moved to the log `{log_id}`: run it with `{config}`, and this one no more"
            );
        }
        format!(
            "the installation is being moved to the log `{log_id}`: repeat `weir move --to {config}`, or take it back with \
             `weir move --give-up`"
        )
    }
}
