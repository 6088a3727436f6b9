//! Fees, gas limits and balances, as they are just now (safety.md, section 10).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use serde::Deserialize;
use serde_json::json;

use super::contract::abi::{ISource, IVault};
use super::contract::encode_call;
use super::error::{ChainError, Fault};
use super::fees::{EMPTY_STORAGE_GAS, GasBook, GasKey, Prices, expected_price, quote};
use super::objects::read_at;
use super::reading::{
    At, Header, ask_balance, ask_call, ask_latest, number_in, returned, some_header, wei_in,
};
use super::reverts;
use super::rpc::{Ask, Endpoint, Reply, passing_fault, take};
use super::{OnRevert, SurveyRequest};
use crate::units::{Call, GasForecast, Network, PublishGas, Survey, Wei};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFeeHistory {
    base_fee_per_gas: Vec<U256>,
    #[serde(default)]
    reward: Option<Vec<Vec<U256>>>,
}

struct Moment {
    head: Header,
    prices: Prices,
    wallet_balance: Wei,
    vault_balance: Wei,
    vault_frozen: Wei,
}

/// Reads prices and balances of one block, and estimates gas where that is due.
pub(super) async fn survey(
    endpoint: &Endpoint,
    network: &Network,
    book: &Mutex<GasBook>,
    request: &SurveyRequest,
) -> Result<Survey, ChainError> {
    let moment = moment(endpoint, network, request).await?;
    let quote = quote(&moment.prices).ok_or_else(|| ChainError::Refused {
        endpoint: endpoint.name().to_owned(),
        method: "eth_gasPrice",
        fault: Fault::Malformed { method: "eth_gasPrice", expected: "a price" },
    })?;
    estimate_missing(endpoint, network, book, (request, &moment.head)).await?;
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let publish =
        |sample: &super::PublishSample| book.limit(GasKey::publish(sample.source, &sample.config));
    Ok(Survey {
        head: moment.head.block(),
        time: moment.head.time,
        max_fee_per_gas: quote.max_fee_per_gas,
        max_priority_fee_per_gas: quote.max_priority_fee_per_gas,
        legacy: quote.legacy,
        publish_gas: request.publishes.iter().map(publish).collect(),
        confirm_gas: book.limit(GasKey::Confirm),
        wallet_balance: moment.wallet_balance,
        vault_balance: moment.vault_balance,
        vault_frozen: moment.vault_frozen,
    })
}

/// Reads prices and balances of one block. In one exchange, if the endpoint takes so much at once; in
/// parts each may come from another node behind it, so then the block is named.
async fn moment(
    endpoint: &Endpoint,
    network: &Network,
    request: &SurveyRequest,
) -> Result<Moment, ChainError> {
    let asks = moment_asks(network, request, At::Latest);
    if asks.len() <= endpoint.batch_size()
        && let Ok(replies) = endpoint.exchange(&asks).await
        && passing_fault(&asks, &replies).is_none()
        && let Ok(moment) = read_moment(&asks, &replies)
    {
        return Ok(moment);
    }
    let mut tried = 0;
    loop {
        let ask = [ask_latest()];
        let turn = |asks: &[Ask], replies: &[Reply]| some_header(&asks[0], &replies[0]);
        let head = endpoint.read_as(&ask, turn).await?;
        let ask = |at: At| moment_asks(network, request, at);
        let turn = |asks: &[Ask], replies: &[Reply], stands: bool| {
            if !stands {
                return Ok(None);
            }
            Ok(Some(Moment { head, ..read_moment(asks, replies)? }))
        };
        if let Some(moment) = read_at(endpoint, head.block(), ask, turn).await? {
            return Ok(moment);
        }
        // A reorg took the block: again, with another one.
        tried += 1;
        endpoint.pause_after(tried, Fault::Inconsistent { about: "its head" }).await?;
    }
}

fn moment_asks(network: &Network, request: &SurveyRequest, at: At) -> Vec<Ask> {
    let payer = request.payer.unwrap_or(Address::ZERO);
    let wallet = request.wallet.unwrap_or(Address::ZERO);
    let free = IVault::balanceOfCall(payer).abi_encode();
    let frozen = IVault::frozenPaymentCall(payer).abi_encode();
    vec![
        ask_latest(),
        Ask::optional("eth_feeHistory", json!(["0xa", "latest", [50.0]])),
        Ask::optional("eth_gasPrice", json!([])),
        Ask::optional("eth_maxPriorityFeePerGas", json!([])),
        ask_balance(wallet, at),
        ask_call(network.vault, &free, at),
        ask_call(network.vault, &frozen, at),
    ]
}

fn read_moment(asks: &[Ask], replies: &[Reply]) -> Result<Moment, Fault> {
    let head = some_header(&asks[0], &replies[0])?;
    let history: Option<RawFeeHistory> =
        replies[1].is_ok().then(|| take(&asks[1], &replies[1], "a fee history").ok()).flatten();
    let (tips, base_fees) = history.map(history_rows).unwrap_or_default();
    let prices = Prices {
        base_fee: head.base_fee,
        tips,
        base_fees,
        gas_price: wei_in(&asks[2], &replies[2]).ok(),
        tip: wei_in(&asks[3], &replies[3]).ok(),
    };
    Ok(Moment {
        head,
        prices,
        wallet_balance: wei_in(&asks[4], &replies[4])?,
        vault_balance: Wei::from_u256(returned::<IVault::balanceOfCall>(&asks[5], &replies[5])?),
        vault_frozen: Wei::from_u256(returned::<IVault::frozenPaymentCall>(&asks[6], &replies[6])?),
    })
}

fn history_rows(history: RawFeeHistory) -> (Vec<Wei>, Vec<Wei>) {
    let rows = history.reward.unwrap_or_default();
    let tips = rows.iter().filter_map(|row| row.first()).copied().map(Wei::from_u256).collect();
    (tips, history.base_fee_per_gas.into_iter().map(Wei::from_u256).collect())
}

/// What gas is expected to come to, seen from a survey that was just made for the same request.
///
/// The first publication of a step costs more where it fills storage: the payer's frozen money
/// while no task of it is open, and a source's list of tasks while it has none.
pub(super) async fn forecast(
    endpoint: &Endpoint,
    book: &Mutex<GasBook>,
    (request, survey): (&SurveyRequest, &Survey),
) -> Result<GasForecast, ChainError> {
    let count = ISource::getTaskCountCall {}.abi_encode();
    let mut asks = vec![ask_latest()];
    asks.extend(request.publishes.iter().map(|sample| {
        let call = json!({ "to": sample.source, "data": Bytes::copy_from_slice(&count) });
        Ask::optional("eth_call", json!([call, "latest"]))
    }));
    let (base_fee, unused) = endpoint.read_as(&asks, read_unused).await?;
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let mut filled = BTreeSet::new();
    let publish = |(sample, unused): (&super::PublishSample, bool)| {
        let fills = u64::from(survey.vault_frozen.is_zero()) + u64::from(unused);
        let expected = book.expected(GasKey::publish(sample.source, &sample.config));
        let later = expected.saturating_sub(fills * EMPTY_STORAGE_GAS);
        // Another step may be the one that fills the source's list.
        let list = unused && !filled.insert(sample.source);
        let first = expected - if list { EMPTY_STORAGE_GAS.min(expected) } else { 0 };
        PublishGas { first, later }
    };
    let (cap, tip) = (survey.max_fee_per_gas, survey.max_priority_fee_per_gas);
    Ok(GasForecast {
        price: expected_price(base_fee, cap, tip),
        publish: request.publishes.iter().zip(unused).map(publish).collect(),
        confirm: book.expected(GasKey::Confirm),
    })
}

/// The base fee of the newest block, and which sources have never had a task.
fn read_unused(asks: &[Ask], replies: &[Reply]) -> Result<(Option<Wei>, Vec<bool>), Fault> {
    let head = some_header(&asks[0], &replies[0])?;
    let unused = asks.iter().zip(replies).skip(1).map(|(ask, reply)| {
        returned::<ISource::getTaskCountCall>(ask, reply).is_ok_and(|count| count.is_zero())
    });
    Ok((head.base_fee, unused.collect()))
}

/// Estimates every kind of call that wants it, each once.
async fn estimate_missing(
    endpoint: &Endpoint,
    network: &Network,
    book: &Mutex<GasBook>,
    (request, head): (&SurveyRequest, &Header),
) -> Result<(), ChainError> {
    let Some(wallet) = request.wallet else { return Ok(()) };
    let mut wanted: BTreeMap<GasKey, Call> = BTreeMap::new();
    for sample in &request.publishes {
        let call = Call::PublishTask {
            source: sample.source,
            config: sample.config.clone(),
            expiry: head.time.after(sample.expires),
            payment: sample.payment,
        };
        wanted.insert(GasKey::of(&call), call);
    }
    if let Some(response) = request.confirm {
        wanted.insert(GasKey::Confirm, Call::ConfirmResponse { response });
    }
    {
        let book = book.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|key, _| book.wants_estimate(*key));
    }
    for (key, call) in wanted {
        match estimate(endpoint, network, wallet, &call).await {
            Ok(gas) => {
                book.lock().unwrap_or_else(PoisonError::into_inner).estimated(key, gas);
            }
            Err(error @ ChainError::Reverted { .. }) => match request.on_revert {
                OnRevert::Guess => tracing::debug!(%error, "no gas estimate"),
                OnRevert::Fail => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a call of `from` would take, without a margin.
pub(super) async fn estimate(
    endpoint: &Endpoint,
    network: &Network,
    from: Address,
    call: &Call,
) -> Result<u64, ChainError> {
    let (target, input) = encode_call(call);
    let to = target.address(network, from);
    let tx = json!({ "from": from, "to": to, "data": input, "value": call.value().to_u256() });
    let asks = [Ask::new("eth_estimateGas", json!([tx]))];
    let estimated = endpoint.read_as(&asks, |asks, replies| number_in(&asks[0], &replies[0])).await;
    estimated.map_err(|error| {
        let ChainError::Refused { fault, .. } = &error else { return error };
        match reverts::of_fault(fault) {
            Some((reason, data)) => ChainError::Reverted { call: name_of(call), reason, data },
            None => error,
        }
    })
}

/// The function that a call calls.
const fn name_of(call: &Call) -> &'static str {
    match call {
        Call::PublishTask { .. } => "publishTask",
        Call::ConfirmResponse { .. } => "confirmResponse",
        Call::CancelTask { .. } => "cancelTask",
        Call::Deposit { .. } => "deposit",
        Call::NoOp => "transfer",
    }
}
