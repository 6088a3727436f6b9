//! Direct reads of contracts: sources, tasks, responses, vault, wallet.
//!
//! A contract that does not speak as expected is "not there", never a panic: whoever made it may
//! have made it on purpose.

use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use serde_json::json;

use super::contract::abi::{IResponse, ISource, ITask, ITerminal, IVault};
use super::contract::{Delivery as WireDelivery, SourceStatus, TaskStatus};
use super::error::{ChainError, Fault};
use super::reading::{At, ask_call, ask_header, header_in, number_in, returned, wei_in};
use super::rpc::{Ask, Endpoint, Reply, take};
use super::watch::status_of;
use super::{VaultFacts, WalletFacts};
use crate::units::{BlockRef, Delivery, Network, ResponseFacts, SourceFacts, TaskFacts, Wei};

/// How many responses of a task are asked for at once (protocol.md, section 6).
const PAGE: u64 = 100;
/// More attempts than any task has: a contract that claims more is not read on.
const MOST_ATTEMPTS: u64 = 10_000;

/// What was read at an address.
enum Found<T> {
    Nothing,
    SomethingElse,
    It(T),
}

/// Reads a source.
pub(super) async fn source(
    endpoint: &Endpoint,
    address: Address,
) -> Result<Option<SourceFacts>, ChainError> {
    let asks = [
        Ask::new("eth_getCode", json!([address, "latest"])),
        ask_call(address, &ISource::getSourceParamsCall {}.abi_encode(), At::Latest),
        ask_call(address, &ISource::getClientCall {}.abi_encode(), At::Latest),
        ask_call(address, &ISource::getStatusCall {}.abi_encode(), At::Latest),
        ask_call(address, &ISource::getRegistrantCountCall {}.abi_encode(), At::Latest),
    ];
    let found = endpoint.read_as(&asks, |asks, replies| {
        let code: Bytes = take(&asks[0], &replies[0], "code")?;
        if code.is_empty() {
            return Ok(Found::Nothing);
        }
        first_outage(&replies[1..])?;
        Ok(source_facts(asks, replies).map_or(Found::SomethingElse, Found::It))
    });
    match found.await? {
        Found::Nothing => Ok(None),
        Found::SomethingElse => Err(ChainError::NotASource { address }),
        Found::It(facts) => Ok(Some(facts)),
    }
}

/// The first reply that says nothing about the contract: neither a value nor a refusal.
fn first_outage(replies: &[Reply]) -> Result<(), Fault> {
    replies.iter().try_for_each(|reply| match reply {
        Ok(_) | Err(Fault::Refused { .. }) => Ok(()),
        Err(fault) => Err(fault.clone()),
    })
}

fn source_facts(asks: &[Ask], replies: &[Reply]) -> Option<SourceFacts> {
    let params = returned::<ISource::getSourceParamsCall>(&asks[1], &replies[1]).ok()?;
    let client = returned::<ISource::getClientCall>(&asks[2], &replies[2]).ok()?;
    let status = returned::<ISource::getStatusCall>(&asks[3], &replies[3]).ok()?;
    let registrants = returned::<ISource::getRegistrantCountCall>(&asks[4], &replies[4]).ok()?;
    let delivery = match WireDelivery::from(params.deliveryMethod) {
        WireDelivery::Manual => Delivery::ManualConfirmation,
        WireDelivery::FirstResponse => Delivery::FirstResponse,
        WireDelivery::Unknown(_) => return None,
    };
    Some(SourceFacts {
        client,
        active: SourceStatus::from(status) == SourceStatus::Active,
        min_payment: Wei::from_u256(params.minPayment),
        max_expiry: Duration::from_secs(params.maxExpiryDuration.saturating_to()),
        delivery,
        registrants: registrants.saturating_to(),
    })
}

/// Reads responses, two calls each: what never changes as it is now, and whether they are confirmed
/// at the block `at`.
pub(super) async fn responses(
    endpoint: &Endpoint,
    addresses: &[Address],
    at: BlockRef,
) -> Result<Vec<Option<ResponseFacts>>, ChainError> {
    let params = IResponse::getResponseParamsCall {}.abi_encode();
    let confirmed = IResponse::confirmedFinalCall {}.abi_encode();
    let ask = |then: At| {
        let of = |address: &Address| {
            let confirmed = ask_call(*address, &confirmed, then).or_refused();
            [ask_call(*address, &params, At::Latest), confirmed]
        };
        addresses.iter().flat_map(of).collect()
    };
    let turn = |asks: &[Ask], replies: &[Reply], stands: bool| {
        let params: Vec<Reply> = replies.iter().step_by(2).cloned().collect();
        first_outage(&params)?;
        let pairs = asks.chunks_exact(2).zip(replies.chunks_exact(2));
        let facts = addresses
            .iter()
            .zip(pairs)
            .map(|(address, (asks, replies))| response_facts(*address, asks, replies, stands));
        Ok(facts.collect())
    };
    read_at(endpoint, at, ask, turn).await
}

/// Reads state at one block, and whether it still is the one of its height: by its hash, so that
/// no part of a long read comes from another branch; by its height where a node takes no hashes.
pub(super) async fn read_at<T: Send>(
    endpoint: &Endpoint,
    block: BlockRef,
    ask: impl Fn(At) -> Vec<Ask>,
    turn: impl Fn(&[Ask], &[Reply], bool) -> Result<T, Fault> + Send + Sync,
) -> Result<T, ChainError> {
    loop {
        let by_hash = endpoint.pins_by_hash();
        let at = if by_hash { At::Hash(block.hash) } else { At::Number(block.number) };
        let mut asks = ask(at);
        asks.push(ask_header(block.number));
        let read = endpoint.read_as(&asks, |asks, replies| {
            let (still, replies) = replies.split_last().ok_or(Fault::Missing)?;
            let stands = stands(&asks[replies.len()], still, block)?;
            if by_hash && replies.iter().any(takes_no_hash) {
                return Ok(None);
            }
            turn(asks, replies, stands).map(Some)
        });
        match read.await? {
            Some(read) => return Ok(read),
            None => {
                endpoint.pin_by_number();
            }
        }
    }
}

/// Whether a node does not know what a block's hash is for (EIP-1898).
fn takes_no_hash(reply: &Reply) -> bool {
    matches!(reply, Err(Fault::Refused { code: -32602 | -32600, .. }))
}

/// Whether the block of its height is still `at`. A node that has no block there is behind.
fn stands(ask: &Ask, reply: &Reply, at: BlockRef) -> Result<bool, Fault> {
    let header = header_in(ask, reply)?.ok_or(Fault::Behind { height: at.number })?;
    Ok(header.block() == at)
}

/// A node that has forgotten the state of a block cannot say whether a response was confirmed
/// there: the log stream will.
fn response_facts(
    address: Address,
    asks: &[Ask],
    replies: &[Reply],
    stands: bool,
) -> Option<ResponseFacts> {
    let params = returned::<IResponse::getResponseParamsCall>(&asks[0], &replies[0]).ok()?;
    let confirmed = returned::<IResponse::confirmedFinalCall>(&asks[1], &replies[1]);
    Some(ResponseFacts {
        response: address,
        task: params.task,
        provider: params.provider,
        url: params.data,
        payment: Wei::from_u256(params.payment),
        confirmed: stands && confirmed.unwrap_or(false),
    })
}

/// A task's status and how many attempts it has; `None` if there is no task.
type Standing = Option<(TaskStatus, u64)>;

/// Reads tasks at one block: first how they stand, then the responses of those that have some.
/// Nothing is told of a task whose state at the block the node has forgotten.
pub(super) async fn tasks(
    endpoint: &Endpoint,
    addresses: &[Address],
    block: BlockRef,
) -> Result<Vec<Option<TaskFacts>>, ChainError> {
    let status = ITask::getStatusCall {}.abi_encode();
    let count = ITask::getAttemptCountCall {}.abi_encode();
    let ask = |at: At| {
        let of = |address: &Address| {
            [ask_call(*address, &status, at), ask_call(*address, &count, at)].map(Ask::or_refused)
        };
        addresses.iter().flat_map(of).collect()
    };
    let turn = |asks: &[Ask], replies: &[Reply], _: bool| {
        first_outage(replies)?;
        let pairs = asks.chunks_exact(2).zip(replies.chunks_exact(2));
        Ok(pairs.map(|(asks, replies)| standing(asks, replies)).collect())
    };
    let standings: Vec<Standing> = read_at(endpoint, block, ask, turn).await?;
    let Some(pages) = response_pages(endpoint, addresses, &standings, block).await? else {
        return Ok(vec![None; addresses.len()]);
    };
    let told = addresses.iter().zip(standings).zip(pages);
    let facts = told.map(|((address, standing), responses)| {
        let ((status, attempts), responses) = (standing?, responses?);
        Some(TaskFacts { task: *address, block, status: status_of(status), attempts, responses })
    });
    Ok(facts.collect())
}

fn standing(asks: &[Ask], replies: &[Reply]) -> Standing {
    let status = returned::<ITask::getStatusCall>(&asks[0], &replies[0]).ok()?;
    let count = returned::<ITask::getAttemptCountCall>(&asks[1], &replies[1]).ok()?;
    Some((TaskStatus::from(status), count.saturating_to::<u64>().min(MOST_ATTEMPTS)))
}

/// A task's responses, by attempt; `None` if the node has forgotten them.
type Responses = Option<Vec<Address>>;

/// The responses of every task; attempts without one are zero and left out. `None` if the block is
/// gone.
///
/// Pages have inclusive ends and panic at the count, so an empty list is never asked for.
async fn response_pages(
    endpoint: &Endpoint,
    addresses: &[Address],
    standings: &[Standing],
    block: BlockRef,
) -> Result<Option<Vec<Responses>>, ChainError> {
    let mut wanted = Vec::new();
    for (owner, (address, standing)) in addresses.iter().zip(standings).enumerate() {
        let count = standing.map_or(0, |(_, count)| count);
        for lower in (0..count).step_by(100) {
            let upper = lower.saturating_add(PAGE).min(count) - 1;
            let call =
                ITask::getResponsesOfCall { lower: U256::from(lower), upper: U256::from(upper) };
            wanted.push((owner, *address, call.abi_encode()));
        }
    }
    let ask = |at: At| {
        let asks = wanted.iter().map(|(_, address, call)| ask_call(*address, call, at));
        asks.map(Ask::or_refused).collect()
    };
    let turn = |asks: &[Ask], replies: &[Reply], stands: bool| {
        first_outage(replies)?;
        let pages = asks
            .iter()
            .zip(replies)
            .map(|(ask, reply)| returned::<ITask::getResponsesOfCall>(ask, reply).ok());
        Ok(stands.then(|| pages.collect::<Vec<_>>()))
    };
    let pages = read_at(endpoint, block, ask, turn).await?;
    let owners = wanted.iter().map(|(owner, _, _)| *owner);
    let Some(pages) = pages else { return Ok(None) };
    let mut responses: Vec<Responses> = vec![Some(Vec::new()); addresses.len()];
    for (owner, page) in owners.zip(pages) {
        match (&mut responses[owner], page) {
            (Some(known), Some(page)) => known.extend(page.into_iter().filter(|r| !r.is_zero())),
            (forgotten, _) => *forgotten = None,
        }
    }
    Ok(Some(responses))
}

/// Reads an account's money in the vault.
pub(super) async fn vault(
    endpoint: &Endpoint,
    network: &Network,
    account: Address,
) -> Result<VaultFacts, ChainError> {
    let asks = [
        ask_call(network.vault, &IVault::balanceOfCall(account).abi_encode(), At::Latest),
        ask_call(network.vault, &IVault::frozenPaymentCall(account).abi_encode(), At::Latest),
    ];
    endpoint
        .read_as(&asks, |asks, replies| {
            let balance = returned::<IVault::balanceOfCall>(&asks[0], &replies[0])?;
            let frozen = returned::<IVault::frozenPaymentCall>(&asks[1], &replies[1])?;
            Ok(VaultFacts { balance: Wei::from_u256(balance), frozen: Wei::from_u256(frozen) })
        })
        .await
}

/// Reads a wallet's coins and counts.
pub(super) async fn wallet(
    endpoint: &Endpoint,
    account: Address,
) -> Result<WalletFacts, ChainError> {
    let asks = [
        Ask::new("eth_getBalance", json!([account, "latest"])),
        Ask::new("eth_getTransactionCount", json!([account, "latest"])),
        Ask::new("eth_getTransactionCount", json!([account, "pending"])),
    ];
    endpoint
        .read_as(&asks, |asks, replies| {
            Ok(WalletFacts {
                balance: wei_in(&asks[0], &replies[0])?,
                latest: number_in(&asks[1], &replies[1])?,
                pending: number_in(&asks[2], &replies[2])?,
            })
        })
        .await
}

/// Whether `agent` may act for `account`.
pub(super) async fn is_agent_of(
    endpoint: &Endpoint,
    network: &Network,
    (account, agent): (Address, Address),
) -> Result<bool, ChainError> {
    let call = ITerminal::isAgentOfCall { account, agent }.abi_encode();
    let asks = [ask_call(network.terminal, &call, At::Latest)];
    let turn = |asks: &[Ask], replies: &[Reply]| {
        returned::<ITerminal::isAgentOfCall>(&asks[0], &replies[0])
    };
    endpoint.read_as(&asks, turn).await
}
