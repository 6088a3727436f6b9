//! Is this the chain that the profile means? (safety.md, section 4, P0)

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::SolCall;
use serde_json::json;

use super::contract::abi::IController;
use super::error::{ChainError, Fault};
use super::finality::at_depth;
use super::reading::{
    At, Header, ask_call, ask_finalized, ask_header, ask_latest, header_in, number_in, returned,
    some_header,
};
use super::rpc::{Ask, Endpoint, Reply, is_definite, take};
use super::{ChainFacts, CodeHashes};
use crate::units::{BlockRef, Finality, Network, Untrusted};

#[cfg(test)]
mod tests;

/// What one endpoint says about itself.
struct Said {
    chain_id: u64,
    genesis: B256,
    code: [Bytes; 4],
    /// What stands behind each, if it is a proxy.
    behind: [Option<Address>; 4],
    client: Untrusted,
    head: Header,
    finalized: Option<Header>,
}

/// Asks one endpoint who it is, and refuses it if it is not who it should be.
pub(super) async fn guard(
    endpoint: &Endpoint,
    network: &Network,
) -> Result<ChainFacts, ChainError> {
    let asks = [
        Ask::new("eth_chainId", json!([])),
        ask_header(0),
        ask_code(network.nexus),
        ask_code(network.controller),
        ask_code(network.terminal),
        ask_code(network.vault),
        Ask::optional("web3_clientVersion", json!([])),
        ask_latest(),
        ask_finalized(),
        ask_behind(network.nexus),
        ask_behind(network.controller),
        ask_behind(network.terminal),
        ask_behind(network.vault),
    ];
    let said = endpoint.read_as(&asks, read).await?;
    if said.chain_id != network.chain_id {
        let (expected, found) = (network.chain_id, said.chain_id);
        let endpoint = endpoint.name().to_owned();
        return Err(ChainError::WrongChain { endpoint, expected, found });
    }
    let named = [
        ("Nexus", network.nexus),
        ("Controller", network.controller),
        ("Terminal", network.terminal),
        ("Vault", network.vault),
    ];
    for ((contract, address), code) in named.into_iter().zip(&said.code) {
        if code.is_empty() {
            return Err(ChainError::NoCode { contract, address });
        }
    }
    note_strays(endpoint, network).await?;
    let settled = settled(endpoint, network.finality, &said).await?;
    let [nexus, controller, terminal, vault] = code_hashes(endpoint, &said).await?;
    Ok(ChainFacts {
        chain_id: said.chain_id,
        genesis: said.genesis,
        code: CodeHashes { nexus, controller, terminal, vault },
        client: said.client,
        head: said.head.block(),
        head_time: said.head.time,
        settled,
        finalized: said.finalized.map(|block| block.number),
    })
}

fn ask_code(address: Address) -> Ask {
    Ask::new("eth_getCode", json!([address, "latest"]))
}

/// Asks for the contract that a proxy hands its calls on to, where EIP-1967 keeps it.
fn ask_behind(proxy: Address) -> Ask {
    let name = U256::from_be_bytes(keccak256("eip1967.proxy.implementation").0);
    let slot = name.wrapping_sub(U256::ONE);
    Ask::new("eth_getStorageAt", json!([proxy, slot, "latest"]))
}

/// The hashes of the four contracts' code; of a proxy, of what stands behind it as well: its own
/// code stays the same when that is another.
async fn code_hashes(endpoint: &Endpoint, said: &Said) -> Result<[B256; 4], ChainError> {
    let asks: Vec<Ask> = said.behind.iter().flatten().map(|address| ask_code(*address)).collect();
    let mut behind = endpoint
        .read_as(&asks, |asks, replies| {
            let pairs = asks.iter().zip(replies);
            pairs.map(|(ask, reply)| take(ask, reply, "code")).collect::<Result<Vec<Bytes>, _>>()
        })
        .await?
        .into_iter();
    let mut hashes = said.code.each_ref().map(keccak256);
    for (hash, address) in hashes.iter_mut().zip(&said.behind) {
        let Some(address) = address else { continue };
        let code: Bytes = behind.next().unwrap_or_default();
        *hash = keccak256([hash.as_slice(), address.as_slice(), &code].concat());
    }
    Ok(hashes)
}

/// The newest block that stays, by the network's rule; block 0 of a chain that is too short.
async fn settled(endpoint: &Endpoint, rule: Finality, said: &Said) -> Result<BlockRef, ChainError> {
    let number = match rule {
        Finality::Tag => return Ok(said.finalized.as_ref().unwrap_or(&said.head).block()),
        Finality::Depth(depth) => at_depth(&said.head, depth),
    };
    if number == said.head.number {
        return Ok(said.head.block());
    }
    let asks = [ask_header(number)];
    let block = endpoint.read_as(&asks, |asks, replies| some_header(&asks[0], &replies[0]));
    Ok(block.await?.block())
}

/// Says so if the Controller names other contracts than the profile: a warning and no more, until
/// it was seen on a live network (protocol.md, section 1).
async fn note_strays(endpoint: &Endpoint, network: &Network) -> Result<(), ChainError> {
    let ask = |input: Vec<u8>| ask_call(network.controller, &input, At::Latest).or_refused();
    let asks = [
        ask(IController::nexusCall {}.abi_encode()),
        ask(IController::terminalCall {}.abi_encode()),
        ask(IController::vaultCall {}.abi_encode()),
    ];
    let replies = endpoint.read(&asks).await?;
    let named = [
        ("Nexus", network.nexus, returned::<IController::nexusCall>(&asks[0], &replies[0])),
        (
            "Terminal",
            network.terminal,
            returned::<IController::terminalCall>(&asks[1], &replies[1]),
        ),
        ("Vault", network.vault, returned::<IController::vaultCall>(&asks[2], &replies[2])),
    ];
    for (contract, profile, found) in named {
        match found {
            Ok(found) if found == profile => {}
            Ok(found) => {
                tracing::warn!(contract, %profile, %found, "the Controller names another contract");
            }
            Err(fault) => tracing::warn!(contract, %fault, "the Controller names no contract"),
        }
    }
    Ok(())
}

fn read(asks: &[Ask], replies: &[Reply]) -> Result<Said, Fault> {
    let code = |index: usize| take::<Bytes>(&asks[index], &replies[index], "code");
    let client: String = take(&asks[6], &replies[6], "a name").unwrap_or_default();
    let finalized = header_in(&asks[8], &replies[8]).ok().flatten();
    let behind = |index: usize| match &replies[index] {
        // A node that serves no storage cannot tell of proxies; one that fails is asked again.
        Err(fault) if is_definite(fault) => Ok(None),
        reply => {
            let slot: U256 = take(&asks[index], reply, "a slot")?;
            Ok::<_, Fault>((!slot.is_zero()).then(|| Address::from_word(slot.into())))
        }
    };
    Ok(Said {
        chain_id: number_in(&asks[0], &replies[0])?,
        genesis: some_header(&asks[1], &replies[1])?.hash,
        code: [code(2)?, code(3)?, code(4)?, code(5)?],
        behind: [behind(9)?, behind(10)?, behind(11)?, behind(12)?],
        client: client.into(),
        head: some_header(&asks[7], &replies[7])?,
        finalized,
    })
}

/// Refuses endpoints that serve another chain than the first; one that is down is only noted.
pub(super) async fn same_chain(
    facts: &ChainFacts,
    first: &Arc<Endpoint>,
    others: &[Arc<Endpoint>],
) -> Result<(), ChainError> {
    for other in others {
        let asks = [ask_header(0)];
        let genesis = other.read_as(&asks, |asks, replies| some_header(&asks[0], &replies[0]));
        match genesis.await {
            Ok(header) if header.hash == facts.genesis => {}
            Ok(_) => {
                let (one, other) = (first.name().to_owned(), other.name().to_owned());
                return Err(ChainError::Disagree { one, other, number: 0 });
            }
            Err(error) => tracing::warn!(endpoint = %other.name(), %error, "endpoint not used"),
        }
    }
    Ok(())
}
