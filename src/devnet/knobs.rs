//! What a person can turn on a devnet (`ogflow devnet up --fail 5%`, `run --devnet fail=5%`).

use std::fmt;
use std::time::Duration;

use alloy::primitives::Address;
use url::Url;

use super::faults::Share;
use crate::units::time::{TimeError, parse_duration, show_duration};

/// The most providers that a devnet runs.
const MOST_PROVIDERS: u16 = 256;

/// Which source a service container works for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceSource {
    /// The source that pipelines call `builtin:NAME`; made at genesis if it is not built in.
    Named(String),
    /// A source that somebody else publishes.
    At(Address),
}

impl fmt::Display for ServiceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

/// A source whose tasks a real service container works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which source.
    pub source: ServiceSource,
    /// Where the container listens, without `/run`.
    pub url: Url,
}

/// All that can be set about a devnet (cli.md, section 3.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// The port that `devnet up` binds, and that callbacks of services come to.
    pub port: u16,
    /// How many built-in providers there are; 0 means that nobody attempts anything.
    pub providers: u16,
    /// How long a provider works on a task: from, to.
    pub latency: (Duration, Duration),
    /// How many tasks are attempted and then get no response.
    pub fail: Share,
    /// How many tasks nobody attempts.
    pub silent: Share,
    /// How many responses hold an output that fits no schema.
    pub wrong: Share,
    /// How many responses to a manual source claim nine tenths of the payment.
    pub cheap: Share,
    /// How many reads of the gateway end in a 502.
    pub gateway_errors: Share,
    /// Every how many blocks the last one is taken back once; 0 means never.
    pub reorg: u32,
    /// How far apart blocks are; `None` mines as soon as there is something to mine.
    pub block_time: Option<Duration>,
    /// Where all chance comes from, provider keys included.
    pub seed: u64,
    /// Sources that service containers work for.
    pub services: Vec<Service>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            port: 8545,
            providers: 8,
            latency: (Duration::ZERO, Duration::ZERO),
            fail: Share::NEVER,
            silent: Share::NEVER,
            wrong: Share::NEVER,
            cheap: Share::NEVER,
            gateway_errors: Share::NEVER,
            reorg: 0,
            block_time: None,
            seed: 0,
            services: Vec::new(),
        }
    }
}

/// Why a knob cannot be turned that way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnobError {
    /// There is no `=`.
    #[error("`{text}` is not of the form KEY=VALUE")]
    NotAPair {
        /// What was written.
        text: String,
    },
    /// No knob has this name.
    #[error("the devnet has no knob `{name}`")]
    UnknownKnob {
        /// What was written.
        name: String,
    },
    /// Not a percentage from 0 % to 100 %.
    #[error("`{name}` takes a percentage, not `{text}`")]
    NotAShare {
        /// The knob.
        name: String,
        /// What was written.
        text: String,
    },
    /// Not a whole number, or one too large.
    #[error("`{name}` takes a whole number up to {most}, not `{text}`")]
    NotANumber {
        /// The knob.
        name: String,
        /// What was written.
        text: String,
        /// The largest number that is taken.
        most: u64,
    },
    /// Not a duration or a range of two.
    #[error("`{name}` takes a duration or a range of two, not `{text}`")]
    NotASpan {
        /// The knob.
        name: String,
        /// What was written.
        text: String,
        /// Why the duration is none.
        #[source]
        source: Option<TimeError>,
    },
    /// Not `SOURCE=URL`, or not the URL of an HTTP service.
    #[error("`{text}` is not of the form SOURCE=http://HOST:PORT")]
    NotAService {
        /// What was written.
        text: String,
    },
}

impl KnobError {
    /// What the user can do, in one line.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAPair { .. } => "write `fail=5%`".into(),
            Self::UnknownKnob { name } => {
                let near = KNOBS
                    .iter()
                    .map(|knob| (strsim::damerau_levenshtein(knob, name), *knob))
                    .filter(|(distance, _)| *distance <= 2)
                    .min();
                match near {
                    Some((_, knob)) => format!("did you mean `{knob}`?"),
                    None => format!("the knobs are {}", KNOBS.join(", ")),
                }
            }
            Self::NotAShare { .. } => "write `5%` or `0.5%`".into(),
            Self::NotANumber { most, .. } => format!("write a number from 0 to {most}"),
            Self::NotASpan { .. } => "write `200ms` or `200ms..2s`, the smaller first".into(),
            Self::NotAService { .. } => "write `--service vader=http://127.0.0.1:5555`".into(),
        }
    }
}

/// The names of all knobs, as [`Knobs::turn`] takes them.
pub const KNOBS: [&str; 12] = [
    "port",
    "providers",
    "latency",
    "fail",
    "silent",
    "wrong",
    "cheap",
    "gateway-errors",
    "reorg",
    "block-time",
    "seed",
    "service",
];

impl Knobs {
    /// Turns the knob of `KEY=VALUE`.
    ///
    /// # Errors
    /// As [`Knobs::turn`], and when there is no `=`.
    pub fn turn_pair(&mut self, pair: &str) -> Result<(), KnobError> {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| KnobError::NotAPair { text: pair.into() })?;
        self.turn(name.trim(), value.trim())
    }

    /// Turns one knob. A later turn of the same knob wins; services add up, one per source.
    ///
    /// # Errors
    /// When there is no such knob, or it does not take the value.
    pub fn turn(&mut self, name: &str, value: &str) -> Result<(), KnobError> {
        match name {
            "port" => self.port = number(name, value, u16::MAX)?,
            "providers" => self.providers = number(name, value, MOST_PROVIDERS)?,
            "latency" => self.latency = spans(name, value)?,
            "fail" => self.fail = share(name, value)?,
            "silent" => self.silent = share(name, value)?,
            "wrong" => self.wrong = share(name, value)?,
            "cheap" => self.cheap = share(name, value)?,
            "gateway-errors" => self.gateway_errors = share(name, value)?,
            "reorg" => self.reorg = number(name, value, u32::MAX)?,
            "block-time" => {
                let (span, _) = spans(name, value)?;
                self.block_time = (!span.is_zero()).then_some(span);
            }
            "seed" => self.seed = number(name, value, u64::MAX)?,
            "service" => {
                let service = service(value)?;
                self.services.retain(|known| known.source != service.source);
                self.services.push(service);
            }
            other => return Err(KnobError::UnknownKnob { name: other.into() }),
        }
        Ok(())
    }
}

fn share(name: &str, text: &str) -> Result<Share, KnobError> {
    Share::parse(text).ok_or_else(|| KnobError::NotAShare { name: name.into(), text: text.into() })
}

fn number<N>(name: &str, text: &str, most: N) -> Result<N, KnobError>
where
    N: TryFrom<u64> + Into<u64> + PartialOrd + Copy,
{
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = if digits { text.parse::<u64>().ok() } else { None };
    parsed.and_then(|n| N::try_from(n).ok()).filter(|n| *n <= most).ok_or_else(|| {
        KnobError::NotANumber { name: name.into(), text: text.into(), most: most.into() }
    })
}

/// A duration, or a range of two with the smaller first; `0` counts as a duration here.
fn spans(name: &str, text: &str) -> Result<(Duration, Duration), KnobError> {
    let error = |source| KnobError::NotASpan { name: name.into(), text: text.into(), source };
    let one = |part: &str| match part {
        "0" => Ok(Duration::ZERO),
        other => parse_duration(other).map_err(|e| error(Some(e))),
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (one(from)?, one(to)?);
    if from > to { Err(error(None)) } else { Ok((from, to)) }
}

fn service(text: &str) -> Result<Service, KnobError> {
    let error = || KnobError::NotAService { text: text.into() };
    let (source, url) = text.split_once('=').ok_or_else(error)?;
    let source = service_source(source).ok_or_else(error)?;
    let url = Url::parse(url).map_err(|_| error())?;
    if url.scheme() == "http" && url.has_host() {
        Ok(Service { source, url })
    } else {
        Err(error())
    }
}

fn service_source(text: &str) -> Option<ServiceSource> {
    if text.starts_with("0x") {
        return text.parse().ok().map(ServiceSource::At);
    }
    let name = text.strip_prefix("builtin:").unwrap_or(text);
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    (plain && !name.is_empty()).then(|| ServiceSource::Named(name.into()))
}

impl fmt::Display for Knobs {
    /// The knobs that are not at rest, as `KEY=VALUE` with blanks between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = Self::default();
        let mut turned = Vec::new();
        if self.providers != rest.providers {
            turned.push(format!("providers={}", self.providers));
        }
        if self.latency != rest.latency {
            let (from, to) = (show_duration(self.latency.0), show_duration(self.latency.1));
            turned.push(format!("latency={from}..{to}"));
        }
        for (name, share) in [
            ("fail", self.fail),
            ("silent", self.silent),
            ("wrong", self.wrong),
            ("cheap", self.cheap),
            ("gateway-errors", self.gateway_errors),
        ] {
            if share != Share::NEVER {
                turned.push(format!("{name}={share}"));
            }
        }
        if self.reorg != rest.reorg {
            turned.push(format!("reorg={}", self.reorg));
        }
        if let Some(span) = self.block_time {
            turned.push(format!("block-time={}", show_duration(span)));
        }
        if self.seed != rest.seed {
            turned.push(format!("seed={}", self.seed));
        }
        for service in &self.services {
            turned.push(format!("service={}={}", service.source, service.url));
        }
        f.write_str(&turned.join(" "))
    }
}

#[cfg(test)]
#[path = "knobs_tests.rs"]
mod tests;
