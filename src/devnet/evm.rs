//! Running transactions and calls on revm.

use std::convert::Infallible;

use alloy::consensus::{Header, Transaction as _, TxEnvelope};
use alloy::primitives::{Address, B256, Bytes, Log, U256};
use revm::bytecode::Bytecode;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, Output};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::database_interface::WrapDatabaseRef;
use revm::primitives::hardfork::SpecId;
use revm::state::AccountInfo;
use revm::{Database, DatabaseRef, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};

use super::genesis::CHAIN_ID;
use super::state::{Brief, State, View};

/// The most gas that a block takes: room for a batch of a few hundred publications.
pub(super) const BLOCK_GAS: u64 = 1_000_000_000;
/// The most gas that a call may use when it does not say.
const CALL_GAS: u64 = 100_000_000;

/// What a mined transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) ok: bool,
    pub(super) gas_used: u64,
    pub(super) logs: Vec<Log>,
}

/// Why a call gave nothing back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The contract said no.
    #[error("execution reverted")]
    Reverted {
        /// What it said, encoded.
        data: Bytes,
    },
    /// The machine stopped: out of gas, a wrong opcode.
    #[error("{reason}")]
    Halted {
        /// Why, in the machine's words.
        reason: String,
    },
    /// The call could not even start.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

fn info(brief: Brief) -> AccountInfo {
    AccountInfo {
        balance: brief.balance,
        nonce: brief.nonce,
        code_hash: brief.code,
        code: None,
        ..AccountInfo::default()
    }
}

impl Database for State {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.brief(address).map(info))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(code_hash))
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, index))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok(Self::block_hash(self, number).unwrap_or_default())
    }
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let mut brief = self.brief(address);
        if self.rich == Some(address) {
            brief.get_or_insert(Brief::EMPTY).balance = U256::MAX >> 1;
        }
        Ok(brief.map(info))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(code_hash))
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, index))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.block_hash(number).unwrap_or_default())
    }
}

fn settings() -> CfgEnv {
    CfgEnv::new_with_spec(SpecId::CANCUN).with_chain_id(CHAIN_ID)
}

fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, 3_338_477)),
        ..BlockEnv::default()
    }
}

fn tx_env(sender: Address, tx: &TxEnvelope) -> TxEnv {
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        ..TxEnv::default()
    }
}

/// Runs transactions of one block, in order. `visit` hears how each ended; an `Err` had no effect
/// on the state. Stops when `next` has no more.
pub(super) fn run_block<'t, T>(
    state: &mut State,
    header: &Header,
    mut next: impl FnMut() -> Option<(Address, &'t TxEnvelope, T)>,
    mut visit: impl FnMut(T, Result<Done, InvalidTransaction>),
) {
    let mut evm = Context::mainnet()
        .with_db(state)
        .with_cfg(settings())
        .with_block(block_env(header))
        .build_mainnet();
    while let Some((sender, tx, label)) = next() {
        let done = match evm.transact_commit(tx_env(sender, tx)) {
            Ok(result) => Ok(Done {
                ok: result.is_success(),
                gas_used: result.tx_gas_used(),
                logs: result.into_logs(),
            }),
            Err(EVMError::Transaction(invalid)) => Err(invalid),
            Err(other) => Err(InvalidTransaction::Str(other.to_string().into())),
        };
        visit(label, done);
    }
}

/// A call that changes nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) from: Address,
    pub(super) to: Option<Address>,
    pub(super) data: Bytes,
    pub(super) value: U256,
    pub(super) gas: Option<u64>,
}

/// Runs `ask` on top of `header`'s block: free of charge, with any nonce.
pub(super) fn call(view: View<'_>, header: &Header, ask: &Ask) -> Result<Bytes, CallFailure> {
    run(view, header, ask, ask.gas.unwrap_or(CALL_GAS)).map(|(output, _)| output)
}

fn run(
    mut view: View<'_>,
    header: &Header,
    ask: &Ask,
    gas: u64,
) -> Result<(Bytes, u64), CallFailure> {
    let refused = |reason: &str| CallFailure::Refused { reason: reason.into() };
    let own = view.brief(ask.from).unwrap_or(Brief::EMPTY);
    if ask.value > own.balance {
        return Err(refused("insufficient funds for transfer"));
    }
    view.rich = Some(ask.from);
    let env = TxEnv {
        caller: ask.from,
        gas_limit: gas.min(BLOCK_GAS),
        kind: ask.to.into(),
        value: ask.value,
        data: ask.data.clone(),
        nonce: own.nonce,
        chain_id: Some(CHAIN_ID),
        ..TxEnv::default()
    };
    let free = BlockEnv { basefee: 0, ..block_env(header) };
    let mut evm = Context::mainnet()
        .with_db(WrapDatabaseRef(view))
        .with_cfg(settings())
        .with_block(free)
        .build_mainnet();
    match evm.transact(env) {
        Ok(done) => outcome(done.result),
        Err(EVMError::Transaction(invalid)) => Err(refused(&invalid.to_string())),
        Err(other) => Err(refused(&other.to_string())),
    }
}

fn outcome(result: ExecutionResult) -> Result<(Bytes, u64), CallFailure> {
    let used = result.tx_gas_used();
    match result {
        ExecutionResult::Success {
            output: Output::Call(bytes) | Output::Create(bytes, _), ..
        } => Ok((bytes, used)),
        ExecutionResult::Revert { output, .. } => Err(CallFailure::Reverted { data: output }),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            Err(CallFailure::Halted { reason: "out of gas".into() })
        }
        ExecutionResult::Halt { reason, .. } => {
            Err(CallFailure::Halted { reason: format!("{reason:?}") })
        }
    }
}

/// The least gas limit, within 1 %, with which `ask` succeeds.
pub(super) fn estimate(view: View<'_>, header: &Header, ask: &Ask) -> Result<u64, CallFailure> {
    let most = ask.gas.unwrap_or(CALL_GAS).min(BLOCK_GAS);
    let (_, used) = run(view, header, ask, most)?;
    let (mut low, mut high) = (used.saturating_sub(1), most);
    // Most calls need no more than what is used plus what is refunded and the 1/64 that is held
    // back from inner calls: try that first.
    let likely = used.saturating_add(used / 16);
    if likely < high {
        if run(view, header, ask, likely).is_ok() { high = likely } else { low = likely }
    }
    while high - low > high / 100 {
        let middle = low + (high - low) / 2;
        if run(view, header, ask, middle).is_ok() { high = middle } else { low = middle }
    }
    Ok(high)
}
