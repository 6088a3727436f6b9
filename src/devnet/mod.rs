//! A network in a box: real contracts on a real EVM, play money, providers that work.
//!
//! * [`Node`]: pool, blocks, state; a value in memory that time is passed to.
//! * [`Devnet`]: that node with its log on disk, its pins and its router. The router is called in
//!   process, so that no port is open, or bound to one by `ogflow devnet up`.
//! * [`Genesis`]: the contracts of `contracts/` at the testnet's addresses, and who has what.
//! * The providers, their functions and their faults live beside it and use it as anybody would:
//!   they see logs and send transactions.
//!
//! Whatever the devnet has said survives a crash: an act is in the log before anyone hears of it.
//! It judges nothing: that is the contracts' business, and whether ogflow paid right is checked by
//! the tests' own simulation, not here.

mod block;
mod codec;
pub mod crew;
mod error;
mod evm;
pub mod faults;
mod fit;
pub mod functions;
mod genesis;
mod handle;
pub mod http;
pub mod knobs;
mod log;
pub mod market;
mod node;
mod pins;
mod place;
mod pool;
pub mod provider;
mod record;
mod rpc;
pub mod schemas;
mod state;
pub mod town;
mod words;

pub use block::{BASE_FEE, Block, MinedTx, TIP};
pub use error::DevnetError;
pub use evm::CallFailure;
pub use genesis::{
    CHAIN_ID, CONTROLLER, Genesis, GenesisAccount, MOST_IN_VAULT, NEXUS, Payer, Switches, TERMINAL,
    VAULT,
};
pub use handle::{Clock, Devnet, Mining, Options};
pub use node::{Node, PlacedLog};
pub use place::Place;
pub use pool::{PoolError, PoolLimits, PoolTx};
pub use record::RecordError;
pub use town::{Town, TownOptions};

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod durability_tests;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod rpc_kit;
#[cfg(test)]
mod rpc_tests;
