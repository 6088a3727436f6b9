//! The rooms' errors as the reader meets them: which exit, which code, which help.

use super::failure::{Exit, Failure};
use crate::chain::{ChainError, SignError};
use crate::content::{ContentError, Service};
use crate::devnet::DevnetError;
use crate::driver::{DriverError, Signal};
use crate::pipeline::Code;
use crate::plan::PlanError;
use crate::store::{Refusal, StoreError};

/// A devnet's error as the reader meets it.
pub fn of_devnet(error: &DevnetError) -> Failure {
    let exit = match error {
        DevnetError::Locked { .. } => Exit::Locked,
        DevnetError::NotOurs { .. }
        | DevnetError::OtherGenesis { .. }
        | DevnetError::Record { .. } => Exit::Guard,
        DevnetError::Io { .. } | DevnetError::Port { .. } | DevnetError::Broken { .. } => {
            Exit::Unexpected
        }
    };
    let failure = Failure::of(exit, error).help(error.hint());
    if exit == Exit::Locked { failure.coded(Code::E0921) } else { failure }
}

/// A chain's error as the reader meets it.
pub fn of_chain(error: &ChainError) -> Failure {
    let (exit, code) = match error {
        ChainError::WrongChain { .. } => (Exit::Guard, Some(Code::E0911)),
        ChainError::NoCode { .. } | ChainError::Disagree { .. } => (Exit::Guard, Some(Code::E0912)),
        ChainError::TooDeep { .. } | ChainError::NoFinalizedTag { .. } => (Exit::Guard, None),
        ChainError::NotASource { .. } => (Exit::Invalid, Some(Code::E0401)),
        ChainError::Reverted { .. } => (Exit::Invalid, Some(Code::E0403)),
        ChainError::Unreachable { .. } | ChainError::Behind { .. } | ChainError::Refused { .. } => {
            (Exit::Unreachable, Some(Code::E0901))
        }
    };
    coded(Failure::of(exit, error).help(error.hint()), code)
}

/// An error of pinning or fetching as the reader meets it.
pub fn of_content(error: &ContentError) -> Failure {
    let (exit, code) = match error.service() {
        Some(Service::Pin) => (Exit::Unreachable, Some(Code::E0902)),
        Some(Service::Gateway) => (Exit::Unreachable, Some(Code::E0903)),
        None => (Exit::Unexpected, None),
    };
    coded(Failure::of(exit, error).maybe_help(error.hint()), code)
}

/// An error of the journal, its folder or its locks as the reader meets it.
pub fn of_store(error: &StoreError) -> Failure {
    let (exit, code) = match error {
        StoreError::Refused(Refusal::UnknownRun { .. }) => (Exit::Usage, None),
        StoreError::Refused(Refusal::StaleEpoch { .. }) | StoreError::Locked { .. } => {
            (Exit::Locked, Some(Code::E0921))
        }
        StoreError::Refused(Refusal::OldCopy { .. })
        | StoreError::Format { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Exposed { .. } => (Exit::Guard, Some(Code::E0914)),
        StoreError::Network { .. } => (Exit::Guard, Some(Code::E0915)),
        StoreError::Full { .. } => (Exit::Stopped, None),
        StoreError::Io { .. }
        | StoreError::Poisoned { .. }
        | StoreError::Refused(
            Refusal::SlotTaken { .. }
            | Refusal::LiveBinding { .. }
            | Refusal::OutOfOrder { .. }
            | Refusal::Bytes { .. }
            | Refusal::OtherCall { .. }
            | Refusal::NoSuchSlot { .. }
            | Refusal::LargeOutput { .. },
        ) => (Exit::Unexpected, None),
    };
    coded(Failure::of(exit, error).maybe_help(error.hint()), code)
}

/// Why a plan cannot be carried out, as the reader meets it.
pub fn of_plan(error: &PlanError) -> Failure {
    let (exit, code) = match error {
        PlanError::OverBudget { .. } => (Exit::Budget, Some(Code::E0821)),
        PlanError::VaultShort { .. } => (Exit::Funds, Some(Code::E0811)),
        PlanError::WalletShort { .. } => (Exit::Funds, Some(Code::E0812)),
        PlanError::Record { .. } => (Exit::Guard, Some(Code::E0914)),
    };
    coded(Failure::of(exit, error).maybe_help(error.hint()), code)
}

/// Why a run could not start or stopped, as the reader meets it.
pub fn of_driver(error: &DriverError) -> Failure {
    let (exit, code) = match error {
        DriverError::Store(error) => return of_store(error),
        DriverError::Chain(error) => return of_chain(error),
        DriverError::Content(error) => return of_content(error),
        DriverError::Sign(SignError::NoSigner) | DriverError::OtherSigner { .. } => {
            (Exit::NeedsAnswer, Some(Code::E0801))
        }
        DriverError::Sign(
            SignError::OtherWallet { .. }
            | SignError::Fees
            | SignError::Signature
            | SignError::Changed
            | SignError::NotListed(_),
        )
        | DriverError::Items { .. } => (Exit::Unexpected, None),
        DriverError::WalletMoved { .. } => (Exit::Guard, Some(Code::E0913)),
        DriverError::BytesLost { .. } | DriverError::Fenced { .. } => {
            (Exit::Guard, Some(Code::E0914))
        }
        DriverError::LaneHeld { .. } => (Exit::Locked, None),
        DriverError::OtherChain { .. } | DriverError::CodeChanged { .. } => {
            (Exit::Guard, Some(Code::E0912))
        }
        DriverError::HeldElsewhere { .. } => (Exit::Locked, Some(Code::E0921)),
        DriverError::OtherPlan => (Exit::Stale, Some(Code::E0831)),
        DriverError::CapTooLow { .. } => (Exit::Budget, Some(Code::E0821)),
        DriverError::Left(Signal::Interrupt) => (Exit::Interrupted, None),
        DriverError::Left(Signal::Terminate) => (Exit::Terminated, None),
    };
    coded(Failure::of(exit, error).maybe_help(error.hint()), code)
}

fn coded(failure: Failure, code: Option<Code>) -> Failure {
    match code {
        Some(code) => failure.coded(code),
        None => failure,
    }
}
