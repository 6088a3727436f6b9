//! Why a plan cannot be carried out as it stands.

use crate::units::Wei;

/// Why a plan cannot be carried out as it stands. Mistakes of an author are
/// [`Problem`](crate::pipeline::Problem)s instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Even the least that the plan can cost is above the cap.
    #[error("the plan costs at least {least}, more than the cap of {cap}")]
    OverBudget {
        /// The least that it can cost.
        least: Wei,
        /// The cap.
        cap: Wei,
    },
    /// The payer's vault cannot pay for the plan.
    #[error("the vault has {free} free, and the plan needs {needs}")]
    VaultShort {
        /// What the vault has.
        free: Wei,
        /// What the plan needs.
        needs: Wei,
        /// What is missing.
        short: Wei,
        /// The network, for the command that helps.
        network: String,
    },
    /// The wallet cannot pay the gas.
    #[error("the wallet has {balance} for gas, and the plan needs {needs}")]
    WalletShort {
        /// What the wallet has.
        balance: Wei,
        /// What the plan needs.
        needs: Wei,
        /// What is missing.
        short: Wei,
    },
    /// The record of a run cannot be read back into a plan.
    #[error("the record of the run cannot be read: {what}")]
    Record {
        /// What is wrong with it.
        what: String,
    },
}

impl PlanError {
    /// What the reader can do next, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OverBudget { least, .. } => Some(format!(
                "raise `budget.max` or `--max-spend` to at least {least}, or publish fewer items"
            )),
            Self::VaultShort { short, network, .. } => Some(format!(
                "ogflow vault deposit {short} --network {network}",
                short = quoted(*short)
            )),
            Self::WalletShort { short, .. } => {
                Some(format!("send {short} to the wallet, or withdraw from the vault"))
            }
            Self::Record { .. } => None,
        }
    }
}

/// An amount as one argument of a command line.
fn quoted(amount: Wei) -> String {
    format!("\"{amount}\"")
}
