//! A small world for the tests of this room: named accounts, one act per block.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Signature, TxKind, U256, keccak256};
use alloy::sol_types::SolCall;

use super::block::BASE_FEE;
use super::evm::{Ask, CallFailure};
use super::genesis::{CHAIN_ID, CONTROLLER, Genesis, NEXUS, VAULT};
use super::node::Node;
use super::pool::{PoolLimits, PoolTx};
use crate::chain::contract::abi::{
    IController, INexus, ISource, ITask, IVault, ResponseParams, SourceParams, TaskParams,
};
use crate::chain::contract::{
    Delivery, ProtocolLog, ResponseStatus, TaskStatus, decode_log, decode_revert,
};
use crate::units::{ChainTime, Wei};

/// What everybody starts with, in wallet and vault.
pub(super) const COIN: u128 = 1_000_000_000_000_000_000;
/// When the world begins.
pub(super) const START: u64 = 1_800_000_000;

const NAMES: [&str; 9] =
    ["client", "owner", "agent", "stranger", "alice", "bob", "carol", "master", "helper"];

/// The address of somebody.
pub(super) fn who(name: &str) -> Address {
    Address::from_word(keccak256(name))
}

/// Block 0 with everybody in it.
pub(super) fn genesis() -> Genesis {
    let some = Wei::from_u128(100 * COIN);
    NAMES.iter().fold(Genesis::default(), |genesis, name| genesis.with_funds(who(name), some, some))
}

/// A transaction whose signature nobody checks.
pub(super) fn signed(sender: Address, tx: TxEip1559) -> PoolTx {
    // Different for each sender, as real ones are: otherwise equal transactions of two accounts
    // would have one hash.
    let r = U256::from_be_slice(sender.as_slice());
    let tx = TxEnvelope::from(tx.into_signed(Signature::new(r, U256::from(1), false)));
    PoolTx::trusted(sender, tx.encoded_2718().into()).unwrap()
}

/// A chain and its time. Every act is a block of its own, after which the vault's sums are right.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) now: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::of(&genesis())
    }

    pub(super) fn of(genesis: &Genesis) -> Self {
        Self { node: Node::new(genesis, PoolLimits::default()), now: START }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// Calls as `name`: the registry's logs, or the reason of the revert.
    pub(super) fn act<C: SolCall>(
        &mut self,
        name: &str,
        to: Address,
        call: &C,
    ) -> Result<Vec<ProtocolLog>, String> {
        self.act_with(name, to, call, 0)
    }

    pub(super) fn act_with<C: SolCall>(
        &mut self,
        name: &str,
        to: Address,
        call: &C,
        value: u128,
    ) -> Result<Vec<ProtocolLog>, String> {
        let sender = who(name);
        let mut tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.node.pending_count(sender),
            gas_limit: 2_000_000,
            max_fee_per_gas: u128::from(BASE_FEE),
            to: TxKind::Call(to),
            value: U256::from(value),
            input: call.abi_encode().into(),
            ..TxEip1559::default()
        };
        tx.max_priority_fee_per_gas = 0;
        let before = self.node.head().header.number;
        self.node.submit(signed(sender, tx.clone())).unwrap();
        self.node.mine(ChainTime::from_secs(self.now));
        self.assert_conserved();
        let mined = &self.node.head().txs[0];
        if mined.ok {
            let ours = mined.logs.iter().filter(|log| log.address == NEXUS);
            return Ok(ours.map(|log| decode_log(log.topics(), &log.data.data).unwrap()).collect());
        }
        let ask = Ask { from: sender, to: Some(to), data: tx.input, value: tx.value, gas: None };
        // The reason is found as ogflow finds it: by a call, here at the block itself, since a
        // call at the parent would run with the parent's time.
        assert!(before + 1 == self.node.head().header.number);
        match self.node.ask(before + 1, &ask) {
            Err(CallFailure::Reverted { data }) => Err(decode_revert(&data).to_string()),
            other => panic!("reverted, but not again: {other:?}"),
        }
    }

    pub(super) fn read<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let data = self.node.call(to, call.abi_encode().into()).unwrap();
        C::abi_decode_returns_validate(&data).unwrap()
    }

    /// The revert reason of a read.
    pub(super) fn refused<C: SolCall>(&self, to: Address, call: &C) -> String {
        match self.node.call(to, call.abi_encode().into()) {
            Err(CallFailure::Reverted { data }) => decode_revert(&data).to_string(),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// (liquid, frozen) of somebody, in wei.
    pub(super) fn money(&self, name: &str) -> (u128, u128) {
        let liquid = self.read(VAULT, &IVault::balanceOfCall(who(name)));
        let frozen = self.read(VAULT, &IVault::frozenPaymentCall(who(name)));
        (liquid.to(), frozen.to())
    }

    /// What somebody has gained or lost in the vault since the beginning, in wei.
    pub(super) fn gain(&self, name: &str) -> i128 {
        i128::try_from(self.money(name).0).unwrap() - i128::try_from(100 * COIN).unwrap()
    }

    fn assert_conserved(&self) {
        let sum: U256 = NAMES
            .iter()
            .map(|name| {
                let account = who(name);
                self.read(VAULT, &IVault::balanceOfCall(account))
                    + self.read(VAULT, &IVault::frozenPaymentCall(account))
                    + self.read(VAULT, &IVault::lockupOfCall(account))
                    + self.read(VAULT, &IVault::unbondingOfCall(account))
            })
            .sum();
        assert_eq!(sum, self.node.balance(VAULT), "the vault's sums");
    }

    pub(super) fn source(&mut self, delivery: Delivery) -> Address {
        let params = source_params(delivery);
        let logs = self.act("owner", NEXUS, &INexus::publishSourceCall { sourceParams: params });
        match logs.unwrap()[..] {
            [ProtocolLog::SourcePublished { source }] => source,
            ref other => panic!("{other:?}"),
        }
    }

    pub(super) fn register(&mut self, source: Address, name: &str) {
        let provider = who(name);
        let call = INexus::registerCall { source, provider, preferredEnvironment: 1 };
        self.act(name, NEXUS, &call).unwrap();
    }

    pub(super) fn publish(
        &mut self,
        name: &str,
        source: Address,
        payment: u128,
        life: u64,
    ) -> Result<Address, String> {
        let call = publish_call(source, payment, self.now + life);
        let logs = self.act(name, CONTROLLER, &call)?;
        match logs[..] {
            [ProtocolLog::TaskPublished { task, source: of }] if of == source => Ok(task),
            ref other => panic!("{other:?}"),
        }
    }

    pub(super) fn attempt(
        &mut self,
        name: &str,
        task: Address,
    ) -> Result<Vec<ProtocolLog>, String> {
        let suggested = U256::from(7);
        let call = INexus::attemptCall { task, provider: who(name), suggestedPayment: suggested };
        self.act(name, NEXUS, &call)
    }

    pub(super) fn respond(
        &mut self,
        name: &str,
        task: Address,
        payment: u128,
    ) -> Result<Address, String> {
        let call = respond_call(name, task, payment);
        let logs = self.act(name, NEXUS, &call)?;
        let Some(ProtocolLog::ResponseSubmitted { response, task: of }) = logs.first() else {
            panic!("{logs:?}");
        };
        assert_eq!(*of, task);
        Ok(*response)
    }

    pub(super) fn confirm(
        &mut self,
        name: &str,
        response: Address,
    ) -> Result<Vec<ProtocolLog>, String> {
        self.act(name, CONTROLLER, &IController::confirmResponseCall { response })
    }

    pub(super) fn cancel(&mut self, name: &str, task: Address) -> Result<Vec<ProtocolLog>, String> {
        self.act(name, CONTROLLER, &IController::cancelTaskCall { task })
    }

    pub(super) fn status(&self, task: Address) -> TaskStatus {
        self.read(task, &ITask::getStatusCall {}).into()
    }

    pub(super) fn task_count(&self, source: Address) -> u64 {
        self.read(source, &ISource::getTaskCountCall {}).to()
    }

    /// A source with alice and bob, and a task of the client's that alice has attempted.
    pub(super) fn attempted(&mut self, delivery: Delivery) -> (Address, Address) {
        let source = self.source(delivery);
        self.register(source, "alice");
        self.register(source, "bob");
        let task = self.publish("client", source, COIN, 600).unwrap();
        self.attempt("alice", task).unwrap();
        (source, task)
    }
}

pub(super) fn source_params(delivery: Delivery) -> SourceParams {
    SourceParams {
        client: who("stranger"),
        imageMetadataUrl: "http://devnet.invalid/ipfs/QmMetadata".into(),
        imageEnvironments: 1,
        minPayment: U256::from(1000),
        minAvailableLockup: U256::ZERO,
        maxExpiryDuration: U256::from(86_400),
        privacyEnabled: false,
        optionalParamsUrl: String::new(),
        deliveryMethod: delivery.into(),
        lastUpdateTime: U256::from(5),
    }
}

pub(super) fn publish_call(
    source: Address,
    payment: u128,
    expiry: u64,
) -> IController::publishTaskCall {
    IController::publishTaskCall {
        taskParams: TaskParams {
            source,
            config: "http://devnet.invalid/ipfs/QmaG4FuMqEBnQNn3C8XJ5bpW8kLs7zq2ZXgHptJHbKDDVx"
                .into(),
            expiryTime: U256::from(expiry),
            payment: U256::from(payment),
        },
    }
}

pub(super) fn respond_call(name: &str, task: Address, payment: u128) -> INexus::submitResponseCall {
    INexus::submitResponseCall {
        responseParams: ResponseParams {
            task,
            provider: who(name),
            data: format!("http://devnet.invalid/ipfs/QmOutputOf{name}"),
            payment: U256::from(payment),
        },
    }
}

/// Short names for what logs say.
pub(super) fn task_is(task: Address, status: TaskStatus) -> ProtocolLog {
    ProtocolLog::TaskStatusChanged { task, status }
}

pub(super) fn confirmed(response: Address) -> ProtocolLog {
    ProtocolLog::ResponseStatusChanged { response, status: ResponseStatus::Confirmed }
}
