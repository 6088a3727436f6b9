//! Is this the chain that the profile means? (safety.md, section 4, P0)

use std::sync::Arc;

use alloy::primitives::{B256, Bytes, keccak256};
use serde_json::json;

use super::error::{ChainError, Fault};
use super::reading::{
    Header, ask_finalized, ask_header, ask_latest, header_in, number_in, some_header,
};
use super::rpc::{Ask, Endpoint, Reply, take};
use super::{ChainFacts, CodeHashes};
use crate::units::{Network, Untrusted};

/// What one endpoint says about itself.
struct Said {
    chain_id: u64,
    genesis: B256,
    code: [Bytes; 4],
    client: Untrusted,
    head: Header,
    finalized: Option<u64>,
}

/// Asks one endpoint who it is, and refuses it if it is not who it should be.
pub(super) async fn guard(
    endpoint: &Endpoint,
    network: &Network,
) -> Result<ChainFacts, ChainError> {
    let code = |address| Ask::new("eth_getCode", json!([address, "latest"]));
    let asks = [
        Ask::new("eth_chainId", json!([])),
        ask_header(0),
        code(network.nexus),
        code(network.controller),
        code(network.terminal),
        code(network.vault),
        Ask::optional("web3_clientVersion", json!([])),
        ask_latest(),
        ask_finalized(),
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
    let [nexus, controller, terminal, vault] = said.code.map(keccak256);
    Ok(ChainFacts {
        chain_id: said.chain_id,
        genesis: said.genesis,
        code: CodeHashes { nexus, controller, terminal, vault },
        client: said.client,
        head: said.head.block(),
        head_time: said.head.time,
        finalized: said.finalized,
    })
}

fn read(asks: &[Ask], replies: &[Reply]) -> Result<Said, Fault> {
    let code = |index: usize| take::<Bytes>(&asks[index], &replies[index], "code");
    let client: String = take(&asks[6], &replies[6], "a name").unwrap_or_default();
    let finalized = header_in(&asks[8], &replies[8]).ok().flatten();
    Ok(Said {
        chain_id: number_in(&asks[0], &replies[0])?,
        genesis: some_header(&asks[1], &replies[1])?.hash,
        code: [code(2)?, code(3)?, code(4)?, code(5)?],
        client: client.into(),
        head: some_header(&asks[7], &replies[7])?,
        finalized: finalized.map(|block| block.number),
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
