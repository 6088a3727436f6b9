//! The registry's logs in plain fields (protocol.md, section 2).
//!
//! No event has an indexed parameter: one topic, everything else in the data. A log that is not
//! exactly what a contract would emit is an error, never a guess.

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolEvent;

use super::abi::{INexus, SourceParams};
use super::status::{ResponseStatus, SourceStatus, TaskStatus};
use crate::units::Wei;

/// A log of the Nexus contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolLog {
    /// A task contract was made; the only place where its address appears.
    TaskPublished {
        /// The new task.
        task: Address,
        /// The source that it is for.
        source: Address,
    },
    /// A task changed its status.
    TaskStatusChanged {
        /// The task.
        task: Address,
        /// Its status now.
        status: TaskStatus,
    },
    /// A provider took a task.
    Attempted {
        /// The task.
        task: Address,
        /// Who took it.
        provider: Address,
        /// The payment that the provider would like, in wei; advisory.
        suggested: Wei,
    },
    /// A response contract was made.
    ResponseSubmitted {
        /// The new response.
        response: Address,
        /// The task that it answers.
        task: Address,
    },
    /// A response changed its status.
    ResponseStatusChanged {
        /// The response.
        response: Address,
        /// Its status now.
        status: ResponseStatus,
    },
    /// A source contract was made.
    SourcePublished {
        /// The new source.
        source: Address,
    },
    /// A source changed its status.
    SourceStatusChanged {
        /// The source.
        source: Address,
        /// Its status now.
        status: SourceStatus,
    },
    /// A source changed its parameters.
    SourceUpdated {
        /// The source.
        source: Address,
        /// All parameters, as they are now.
        params: Box<SourceParams>,
    },
    /// A provider registered for a source.
    Registered {
        /// Who registered.
        provider: Address,
        /// Its place in the source's list.
        id: U256,
        /// The source.
        source: Address,
        /// The environment that it prefers, as a bit mask.
        environment: u8,
    },
}

/// Why a log is not one of the registry's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No topic, or one that is not listed.
    #[error("no event of the registry has this first topic")]
    UnknownEvent,
    /// More than one topic: some parameter is indexed, which none is.
    #[error("the log has {count} topics instead of 1")]
    TopicCount {
        /// How many.
        count: usize,
    },
    /// Data of another length, or not encoded as a contract does.
    #[error("the data of the `{event}` log is malformed")]
    Malformed {
        /// The event's name.
        event: &'static str,
    },
}

impl LogError {
    /// What the reader can do, in one line.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::UnknownEvent => "ignore the log: the registry has events of no use here",
            Self::TopicCount { .. } | Self::Malformed { .. } => {
                "check that the profile's `nexus` is the network's registry"
            }
        }
    }
}

/// The first topics of the four events that a watcher needs (protocol.md, section 2).
pub const fn topics() -> [B256; 4] {
    [
        INexus::TaskPublished::SIGNATURE_HASH,
        INexus::TaskStatusChanged::SIGNATURE_HASH,
        INexus::ResponseSubmitted::SIGNATURE_HASH,
        INexus::ResponseStatusChanged::SIGNATURE_HASH,
    ]
}

/// The log with these topics and this data, in plain fields.
///
/// The caller has already made sure that the registry emitted it.
///
/// # Errors
///
/// [`LogError`] if no contract of the network emits such a log.
pub fn decode_log(topics: &[B256], data: &[u8]) -> Result<ProtocolLog, LogError> {
    let event = topics.first().copied().ok_or(LogError::UnknownEvent)?;
    match event {
        INexus::TaskPublished::SIGNATURE_HASH => strict::<INexus::TaskPublished>(topics, data)
            .map(|e| ProtocolLog::TaskPublished { task: e.task, source: e.source }),
        INexus::TaskStatusChanged::SIGNATURE_HASH => {
            strict::<INexus::TaskStatusChanged>(topics, data)
                .map(|e| ProtocolLog::TaskStatusChanged { task: e.task, status: e.status.into() })
        }
        INexus::Attempted::SIGNATURE_HASH => {
            strict::<INexus::Attempted>(topics, data).map(|e| ProtocolLog::Attempted {
                task: e.task,
                provider: e.provider,
                suggested: Wei::from_u256(e.suggestedPayment),
            })
        }
        INexus::ResponseSubmitted::SIGNATURE_HASH => {
            strict::<INexus::ResponseSubmitted>(topics, data)
                .map(|e| ProtocolLog::ResponseSubmitted { response: e.response, task: e.task })
        }
        INexus::ResponseStatusChanged::SIGNATURE_HASH => {
            strict::<INexus::ResponseStatusChanged>(topics, data).map(|e| {
                ProtocolLog::ResponseStatusChanged { response: e.response, status: e.status.into() }
            })
        }
        _ => decode_source_log(event, topics, data),
    }
}

fn decode_source_log(event: B256, topics: &[B256], data: &[u8]) -> Result<ProtocolLog, LogError> {
    match event {
        INexus::SourcePublished::SIGNATURE_HASH => strict::<INexus::SourcePublished>(topics, data)
            .map(|e| ProtocolLog::SourcePublished { source: e.source }),
        INexus::SourceStatusChanged::SIGNATURE_HASH => {
            strict::<INexus::SourceStatusChanged>(topics, data).map(|e| {
                ProtocolLog::SourceStatusChanged { source: e.source, status: e.status.into() }
            })
        }
        INexus::SourceUpdated::SIGNATURE_HASH => {
            strict::<INexus::SourceUpdated>(topics, data).map(|e| ProtocolLog::SourceUpdated {
                source: e.source,
                params: Box::new(e.sourceParams),
            })
        }
        INexus::Registered::SIGNATURE_HASH => {
            strict::<INexus::Registered>(topics, data).map(|e| ProtocolLog::Registered {
                provider: e.provider,
                id: e.registrantId,
                source: e.source,
                environment: e.preferredEnvironment,
            })
        }
        _ => Err(LogError::UnknownEvent),
    }
}

/// Decodes, and encodes again to see that nothing else was in there.
fn strict<E: SolEvent>(topics: &[B256], data: &[u8]) -> Result<E, LogError> {
    if topics.len() != 1 {
        return Err(LogError::TopicCount { count: topics.len() });
    }
    let name = E::SIGNATURE.split('(').next().unwrap_or(E::SIGNATURE);
    let malformed = LogError::Malformed { event: name };
    let event = E::decode_raw_log_validate(topics, data).map_err(|_| malformed.clone())?;
    if event.encode_data() == data { Ok(event) } else { Err(malformed) }
}

#[cfg(test)]
mod tests;
