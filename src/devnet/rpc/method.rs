//! The methods: what each takes, and what it says (protocol.md, section 11).

use alloy::eips::BlockId;
use alloy::eips::BlockNumberOrTag as Tag;
use alloy::primitives::{Address, B256, Bytes, TxKind, U64, U256};
use alloy::rpc::types::{FeeHistory, Filter, FilterBlockOption, TransactionRequest};
use serde::Serialize;

use super::super::block::{BASE_FEE, TIP};
use super::super::evm::{Ask, BLOCK_GAS, CallFailure};
use super::super::genesis::CHAIN_ID;
use super::super::handle::Devnet;
use super::super::node::{Found, Node};
use super::envelope::{Fault, Reply};
use super::params::Params;
use super::shape;
use crate::chain::contract::{Revert, decode_revert};

/// Answers one request, `lag` blocks behind the head.
pub(super) fn answer(
    devnet: &Devnet,
    lag: u64,
    method: &str,
    params: Result<Params<'_>, Fault>,
) -> Reply {
    let params = params?;
    if let Some(constant) = constant(method) {
        return constant;
    }
    devnet.look(|node| {
        let reader = Reader { node, head: node.head().header.number.saturating_sub(lag) };
        reader.answer(method, &params)
    })?
}

/// What is the same at every block.
fn constant(method: &str) -> Option<Reply> {
    Some(match method {
        "web3_clientVersion" => json(concat!("ogflow-devnet/v", env!("CARGO_PKG_VERSION"))),
        "eth_chainId" => json(U64::from(CHAIN_ID)),
        "net_version" => json(CHAIN_ID.to_string()),
        "net_listening" => json(true),
        "eth_syncing" => json(false),
        "eth_accounts" => json::<[Address; 0]>([]),
        "eth_gasPrice" => json(U64::from(BASE_FEE + TIP)),
        "eth_maxPriorityFeePerGas" => json(U64::from(TIP)),
        "eth_blobBaseFee" => json(U64::from(1)),
        _ => return None,
    })
}

fn json<T: Serialize>(value: T) -> Reply {
    serde_json::to_string(&value).map_err(|error| Fault::new(-32603, error.to_string()))
}

/// The chain as one request sees it: up to `head`, which lags behind if it is told to.
struct Reader<'a> {
    node: &'a Node,
    head: u64,
}

impl Reader<'_> {
    fn answer(&self, method: &str, params: &Params<'_>) -> Reply {
        match method {
            "eth_blockNumber" => json(U64::from(self.head)),
            "eth_getBlockByNumber" => self.block(BlockId::Number(params.get(0)?), params),
            "eth_getBlockByHash" => self.block(BlockId::from(params.get::<B256>(0)?), params),
            "eth_getBlockReceipts" => self.block_receipts(params),
            "eth_getTransactionByHash" => self.transaction(params),
            "eth_getTransactionReceipt" => self.receipt(params),
            "eth_getLogs" => self.logs(params),
            "eth_getBalance" | "eth_getCode" | "eth_getStorageAt" => self.account(method, params),
            "eth_getTransactionCount" => self.count(params),
            "eth_call" => self.call(params),
            "eth_estimateGas" => self.estimate(params),
            "eth_feeHistory" => self.fee_history(params),
            _ => {
                let text = format!("the method {method} does not exist/is not available");
                Err(Fault::new(-32601, text))
            }
        }
    }

    /// The height that `id` means; `None` for a block that is not there.
    fn height(&self, id: BlockId) -> Option<u64> {
        match id {
            BlockId::Hash(hash) => {
                let number = self.node.block_by_hash(hash.block_hash)?.header.number;
                (number <= self.head).then_some(number)
            }
            BlockId::Number(Tag::Number(number)) => (number <= self.head).then_some(number),
            BlockId::Number(Tag::Earliest) => Some(0),
            BlockId::Number(Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized) => {
                Some(self.head)
            }
        }
    }

    /// The height of the block parameter at `at`; without one, the head.
    fn required_height(&self, params: &Params<'_>, at: usize) -> Result<u64, Fault> {
        let id = params.optional::<BlockId>(at)?.unwrap_or_default();
        self.height(id).ok_or_else(|| Fault::server("header not found"))
    }

    fn block(&self, id: BlockId, params: &Params<'_>) -> Reply {
        let full = params.optional(1)?.unwrap_or(false);
        let block = self.height(id).and_then(|number| self.node.block(number));
        json(block.map(|block| shape::block(block, full)))
    }

    fn block_receipts(&self, params: &Params<'_>) -> Reply {
        let height = self.height(params.get(0)?);
        json(height.and_then(|number| self.node.block(number)).map(|block| {
            (0..block.txs.len()).map(|at| shape::receipt(block, at)).collect::<Vec<_>>()
        }))
    }

    fn transaction(&self, params: &Params<'_>) -> Reply {
        json(self.node.find(&params.get(0)?).map(|found| match found {
            Found::Mined(block, at) if block.header.number <= self.head => shape::mined(block, at),
            Found::Mined(block, at) => {
                // A node that lags behind has it in its pool.
                let mut tx = shape::mined(block, at);
                (tx.block_hash, tx.block_number, tx.transaction_index) = (None, None, None);
                tx
            }
            Found::Waiting(tx) => shape::waiting(tx),
        }))
    }

    fn receipt(&self, params: &Params<'_>) -> Reply {
        let found = self.node.find(&params.get(0)?);
        json(found.and_then(|found| match found {
            Found::Mined(block, at) if block.header.number <= self.head => {
                Some(shape::receipt(block, at))
            }
            Found::Mined(..) | Found::Waiting(_) => None,
        }))
    }

    fn logs(&self, params: &Params<'_>) -> Reply {
        let filter: Filter = params.get(0)?;
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let known = self.height(BlockId::from(hash));
                let number = known.ok_or_else(|| Fault::server("unknown block"))?;
                (number, number)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let end = |tag: Option<Tag>| match tag.unwrap_or_default() {
                    Tag::Number(number) => number,
                    Tag::Earliest => 0,
                    Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized => self.head,
                };
                (end(from_block), end(to_block))
            }
        };
        if from > to && to < self.head {
            return Err(Fault::new(-32602, "invalid block range params"));
        }
        let filter = &filter;
        let wanted = move |log: &alloy::primitives::Log| {
            filter.matches_address(log.address) && filter.matches_topics(log.topics())
        };
        let blocks = (from..=to.min(self.head)).map_while(|number| self.node.block(number));
        let found: Vec<_> = blocks.flat_map(|block| shape::logs(block, wanted)).collect();
        json(found)
    }

    fn account(&self, method: &str, params: &Params<'_>) -> Reply {
        let account: Address = params.get(0)?;
        let at = if method == "eth_getStorageAt" { 2 } else { 1 };
        let height = self.required_height(params, at)?;
        let gone = || Fault::server("historical state is not available");
        let view = self.node.view(height).ok_or_else(gone)?;
        let brief = view.brief(account);
        match method {
            "eth_getBalance" => json(brief.map_or(U256::ZERO, |brief| brief.balance)),
            "eth_getCode" => {
                json(brief.map_or_else(Bytes::new, |brief| view.code(brief.code).original_bytes()))
            }
            _ if view.has_storage() => json(B256::from(view.slot(account, params.get::<U256>(1)?))),
            _ => Err(gone()),
        }
    }

    fn count(&self, params: &Params<'_>) -> Reply {
        let account: Address = params.get(0)?;
        if params.optional::<BlockId>(1)? == Some(BlockId::pending()) {
            return json(U64::from(self.node.pending_count(account)));
        }
        let height = self.required_height(params, 1)?;
        let count = self.node.count_at(account, height);
        json(
            count
                .map(U64::from)
                .ok_or_else(|| Fault::server("historical state is not available"))?,
        )
    }

    fn call(&self, params: &Params<'_>) -> Reply {
        let ask = ask(&params.get(0)?);
        let height = self.required_height(params, 1)?;
        json(self.node.ask(height, &ask).map_err(|failure| fault(&failure))?)
    }

    fn estimate(&self, params: &Params<'_>) -> Reply {
        let request: TransactionRequest = params.get(0)?;
        let height = self.required_height(params, 1)?;
        let mut ask = ask(&request);
        let allowance = self.allowance(&request, ask.from);
        if let Some(allowance) = allowance {
            ask.gas = Some(ask.gas.unwrap_or(u64::MAX).min(allowance));
        }
        match self.node.estimate(height, &ask) {
            Ok(gas) => json(U64::from(gas)),
            Err(CallFailure::Halted { reason })
                if allowance.is_some() && reason == "out of gas" =>
            {
                let allowance = allowance.unwrap_or_default();
                Err(Fault::server(format!("gas required exceeds allowance ({allowance})")))
            }
            Err(failure) => Err(fault(&failure)),
        }
    }

    /// How much gas the sender could pay for, if the request names a price and that binds.
    fn allowance(&self, request: &TransactionRequest, from: Address) -> Option<u64> {
        let price = request.max_fee_per_gas.or(request.gas_price).filter(|price| *price > 0)?;
        let left = self.node.balance(from).saturating_sub(request.value.unwrap_or_default());
        let units = u64::try_from(left / U256::from(price)).unwrap_or(u64::MAX);
        (units < BLOCK_GAS).then_some(units)
    }

    fn fee_history(&self, params: &Params<'_>) -> Reply {
        let wanted = params.get::<U64>(0)?.to::<u64>().clamp(1, 1024);
        let newest = self.required_height(params, 1)?;
        let percentiles = params.optional::<Vec<f64>>(2)?.unwrap_or_default();
        let oldest = (newest + 1).saturating_sub(wanted);
        let blocks: Vec<_> =
            (oldest..=newest).filter_map(|number| self.node.block(number)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
        let ratio = |used: u64| used as f64 / BLOCK_GAS as f64;
        json(FeeHistory {
            base_fee_per_gas: vec![u128::from(BASE_FEE); blocks.len() + 1],
            gas_used_ratio: blocks.iter().map(|block| ratio(block.header.gas_used)).collect(),
            oldest_block: oldest,
            reward: (!percentiles.is_empty())
                .then(|| vec![vec![u128::from(TIP); percentiles.len()]; blocks.len()]),
            ..FeeHistory::default()
        })
    }
}

fn ask(request: &TransactionRequest) -> Ask {
    Ask {
        from: request.from.unwrap_or_default(),
        to: match request.to {
            Some(TxKind::Call(to)) => Some(to),
            Some(TxKind::Create) | None => None,
        },
        data: request.input.input().cloned().unwrap_or_default(),
        value: request.value.unwrap_or_default(),
        gas: request.gas,
    }
}

/// Reverts as geth reports them: code 3, the reason in the message, the bytes in `data`.
fn fault(failure: &CallFailure) -> Fault {
    match failure {
        CallFailure::Reverted { data } => {
            let message = match decode_revert(data) {
                Revert::Silent | Revert::Raw(_) => "execution reverted".to_owned(),
                said @ (Revert::Reason(_)
                | Revert::Panic(_)
                | Revert::NotTheOwner(_)
                | Revert::InvalidOwner(_)
                | Revert::MissingRole { .. }) => format!("execution reverted: {said}"),
            };
            Fault { code: 3, message, data: Some(data.clone()) }
        }
        CallFailure::Halted { reason } | CallFailure::Refused { reason } => {
            Fault::server(reason.clone())
        }
    }
}
