//! A network in a box.
mod block;
mod codec;
pub mod crew;
mod evm;
pub mod faults;
mod fit;
pub mod functions;
mod genesis;
pub mod http;
pub mod knobs;
pub mod market;
mod node;
mod pool;
pub mod provider;
mod record;
pub mod schemas;
mod state;
mod words;

pub use block::{BASE_FEE, Block, MinedTx, TIP};
pub use evm::CallFailure;
pub use genesis::{
    CHAIN_ID, CONTROLLER, Genesis, GenesisAccount, NEXUS, Payer, Switches, TERMINAL, VAULT,
};
pub use node::{Node, PlacedLog};
pub use pool::{PoolError, PoolLimits, PoolTx};
