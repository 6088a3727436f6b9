//! What can go wrong with bytes outside the chain.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::guard::Rule;
use crate::units::{Cid, Untrusted};

/// Whatever a lower layer said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The service that stores files.
    Pin,
    /// A server that files are read from.
    Gateway,
}

/// Which of the limits on time was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until the connection stood, name resolution and TLS included.
    Connect,
    /// Between two pieces of the reply, or before its first one.
    Idle,
    /// From the request to the last byte.
    Total,
}

/// An upload or a download that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The guard said no. Nothing was connected to.
    #[error("`{url}` is not read: {rule}")]
    Refused {
        /// The URL as it came.
        url: Untrusted,
        /// The first rule that it breaks.
        rule: Rule,
    },
    /// No connection, or one that broke before a reply.
    #[error("no response from the {service} {host}")]
    Unreachable {
        /// Who was asked.
        service: Service,
        /// Its host and port.
        host: Untrusted,
        /// What the connection said.
        source: Cause,
    },
    /// A limit on time was reached.
    #[error("the {service} {host} took too long: {phase} limit of {} s", limit.as_secs_f64())]
    TooSlow {
        /// Who was asked.
        service: Service,
        /// Its host and port.
        host: Untrusted,
        /// Which limit.
        phase: Phase,
        /// How long it is.
        limit: Duration,
    },
    /// An HTTP status other than success.
    #[error("the {service} {host} said {status}")]
    Status {
        /// Who was asked.
        service: Service,
        /// Its host and port.
        host: Untrusted,
        /// The HTTP status.
        status: u16,
    },
    /// The reply ended before it was whole.
    #[error("the reply of the {service} {host} broke off after {got} bytes")]
    CutOff {
        /// Who was asked.
        service: Service,
        /// Its host and port.
        host: Untrusted,
        /// Bytes received.
        got: u64,
        /// What the connection said.
        source: Cause,
    },
    /// More bytes than are read. Reading stopped there.
    #[error("the reply of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The server's host and port.
        host: Untrusted,
        /// The most that is read.
        limit: u64,
    },
    /// The bytes are not those that the content id names, or that were pinned.
    #[error("{host} returned other bytes than those of {cid}")]
    WrongBytes {
        /// The server's host and port.
        host: Untrusted,
        /// The id that was asked for.
        cid: Cid,
    },
    /// The pin service accepted the file and did not say where it is.
    #[error("the pin service replied without a usable `link`: {reply}")]
    NoLink {
        /// What it replied.
        reply: Untrusted,
    },
    /// The folder of blobs could not be written or read.
    #[error("cannot use {}", path.display())]
    Blob {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ContentError {
    /// Whether the same request may succeed later, with nothing changed on our side.
    ///
    /// A file that is not found counts for a gateway, which may learn of it late, and not for
    /// the pin service.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::CutOff { .. } => true,
            Self::Status { service, status, .. } => match status {
                408 | 425 | 429 | 500..=599 => true,
                404 | 410 => *service == Service::Gateway,
                _ => false,
            },
            Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::WrongBytes { .. }
            | Self::NoLink { .. }
            | Self::Blob { .. } => false,
        }
    }

    /// Whose fault it is; `None` for our own disk.
    pub fn service(&self) -> Option<Service> {
        match self {
            Self::Unreachable { service, .. }
            | Self::TooSlow { service, .. }
            | Self::Status { service, .. }
            | Self::CutOff { service, .. } => Some(*service),
            Self::NoLink { .. } => Some(Service::Pin),
            Self::Refused { .. } | Self::TooLarge { .. } | Self::WrongBytes { .. } => {
                Some(Service::Gateway)
            }
            Self::Blob { .. } => None,
        }
    }

    /// What the reader can do, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { rule, .. } => refusal_hint(*rule).map(str::to_owned),
            Self::Unreachable { service: Service::Pin, .. }
            | Self::TooSlow { service: Service::Pin, .. }
            | Self::CutOff { service: Service::Pin, .. }
            | Self::NoLink { .. } => Some("check `pin_url` of the network".into()),
            Self::Status { service: Service::Pin, status: 413, .. } => {
                Some("the task's data is too large for the pin service".into())
            }
            Self::Status { service: Service::Pin, .. } => {
                Some("check `pin_url` of the network".into())
            }
            Self::Unreachable { .. }
            | Self::TooSlow { .. }
            | Self::CutOff { .. }
            | Self::Status { .. } => Some("more `gateways` of the network may help".into()),
            Self::TooLarge { .. } | Self::WrongBytes { .. } => None,
            Self::Blob { .. } => Some("check the free space and the rights of `.ogflow`".into()),
        }
    }
}

fn refusal_hint(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::Unlisted => Some("add the host to `gateways`, or set `allow_any_https = true`"),
        Rule::LocalName | Rule::Address(_) => {
            Some("on a network of your own, set `allow_private_hosts = true`")
        }
        Rule::Scheme | Rule::Port => Some("list the gateway with its scheme and port"),
        Rule::NotUrl | Rule::UserInfo | Rule::Redirects => None,
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pin => "pin service",
            Self::Gateway => "gateway",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}
