//! What the contracts return to a read at a height.

use std::sync::LazyLock;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;

use super::contracts::{AUTO, Chain, ResponseRow, TaskRow};
use super::node::{No, reverted};
use crate::chain::contract::abi::{IController, IResponse, ITask, IVault, ResponseParams};
use crate::units::{Network, PayerRule};

/// The addresses of the contracts; what else a story needs is set in its own copy.
pub(super) fn network() -> &'static Network {
    static NETWORK: LazyLock<Network> =
        LazyLock::new(|| Network { payer: PayerRule::Signer, ..Network::devnet() });
    &NETWORK
}

fn is<C: SolCall>(input: &[u8]) -> bool {
    input.first_chunk::<4>() == Some(&C::SELECTOR)
}

/// The return data of a getter; nothing where there is no contract.
pub(super) fn read(chain: &Chain, height: u64, to: Address, input: &[u8]) -> Result<Vec<u8>, No> {
    let network = network();
    if to == network.controller {
        return Ok(controller(input));
    }
    if to == network.vault {
        let money = chain.money_at(height);
        let free = is::<IVault::balanceOfCall>(input);
        let amount = U256::from(if free { money.free } else { money.frozen });
        return Ok(IVault::balanceOfCall::abi_encode_returns(&amount));
    }
    if let Some(task) = chain.tasks.get(&to).filter(|row| row.born <= height) {
        return of_task(task, height, input);
    }
    let response = chain.responses.get(&to).filter(|row| row.born <= height);
    Ok(response.map_or_else(Vec::new, |row| of_response(row, height, input)))
}

fn controller(input: &[u8]) -> Vec<u8> {
    let network = network();
    let address = if is::<IController::nexusCall>(input) {
        network.nexus
    } else if is::<IController::terminalCall>(input) {
        network.terminal
    } else {
        network.vault
    };
    IController::nexusCall::abi_encode_returns(&address)
}

fn of_task(row: &TaskRow, height: u64, input: &[u8]) -> Result<Vec<u8>, No> {
    if is::<ITask::getStatusCall>(input) {
        return Ok(ITask::getStatusCall::abi_encode_returns(&row.status_at(height)));
    }
    let attempts = row.attempts.iter().filter(|(at, _)| *at <= height);
    if is::<ITask::getAttemptCountCall>(input) {
        let count = U256::from(attempts.count());
        return Ok(ITask::getAttemptCountCall::abi_encode_returns(&count));
    }
    // One place for each attempt, zero where there is no response; both ends count.
    let call = ITask::getResponsesOfCall::abi_decode(input).map_err(|_| reverted("unknown"))?;
    let (lower, upper) = (call.lower.to::<usize>(), call.upper.to::<usize>());
    let count = attempts.count();
    if upper >= count || lower > upper {
        return Err(reverted("panic: index out of bounds"));
    }
    let response_at = |place: usize| {
        let found = row.responses.get(place).filter(|(at, _)| *at <= height);
        found.map_or(Address::ZERO, |(_, response)| *response)
    };
    let page: Vec<Address> = (lower..=upper).map(response_at).collect();
    Ok(ITask::getResponsesOfCall::abi_encode_returns(&page))
}

fn of_response(row: &ResponseRow, height: u64, input: &[u8]) -> Vec<u8> {
    if is::<IResponse::confirmedFinalCall>(input) {
        let confirmed = row.confirmed.is_some_and(|at| at <= height);
        return IResponse::confirmedFinalCall::abi_encode_returns(&confirmed);
    }
    IResponse::getResponseParamsCall::abi_encode_returns(&ResponseParams {
        task: row.task,
        provider: row.provider,
        data: row.url.clone(),
        payment: U256::from(row.payment),
    })
}

impl TaskRow {
    /// Its status at a height.
    pub(super) fn status_at(&self, height: u64) -> u8 {
        match self.ended {
            Some((at, status)) if at <= height => status,
            _ if self.responses.iter().any(|(at, _)| *at <= height) => 2,
            _ if self.attempts.iter().any(|(at, _)| *at <= height) => 1,
            _ => 0,
        }
    }

    /// What a task has cost by a height, or may yet.
    pub(super) fn costs(&self, chain: &Chain, height: u64) -> u128 {
        let paid = self.responses.iter().find_map(|(_, response)| {
            let row = chain.responses.get(response)?;
            row.confirmed.filter(|at| *at <= height)?;
            let in_full = self.source == AUTO;
            Some(if in_full { self.payment } else { row.payment.min(self.payment) })
        });
        match (paid, self.ended) {
            (Some(paid), _) => paid,
            (None, Some((at, 3 | 4))) if at <= height => 0,
            (None, _) => self.payment,
        }
    }
}
