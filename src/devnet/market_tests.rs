use super::*;
use crate::devnet::crew;
use crate::devnet::{Genesis, PoolLimits};
use crate::units::ChainTime;

fn url_of(bytes: Bytes) -> String {
    format!("http://devnet.invalid/ipfs/{}", Cid::for_file(&bytes))
}

/// Mines and returns how many of the block's transactions went through.
fn mine(node: &mut Node, txs: Vec<PoolTx>) -> usize {
    for tx in txs {
        node.submit(tx).unwrap();
    }
    node.mine(ChainTime::from_secs(1_700_000_001));
    node.head().txs.iter().filter(|tx| tx.ok).count()
}

fn node(rich: &[Wallet]) -> Node {
    let coins = Wei::parse("1_000_000_000 OGPU").unwrap();
    let mut genesis = Genesis::default().with_funds(owner(), coins, Wei::ZERO);
    for wallet in rich {
        genesis = genesis.with_funds(wallet.address(), coins, Wei::ZERO);
    }
    Node::new(&genesis, PoolLimits::default())
}

#[test]
fn a_fresh_chain_gets_every_source_and_every_provider_once() {
    let mut knobs = Knobs::default();
    knobs.turn("providers", "2").unwrap();
    knobs.turn("service", "vader=http://127.0.0.1:5555").unwrap();
    let wallets = crew::wallets(&knobs, CHAIN_ID);
    let mut node = node(&[]);
    let empty = Market::read(&node, &knobs);
    let mut first = empty.publications(&node, &knobs, url_of);
    first.extend(fundings(&node, &wallets, first.len()));
    assert_eq!(mine(&mut node, first), 7);
    let market = Market::read(&node, &knobs);
    let names: Vec<&str> = market.by_name.keys().map(String::as_str).collect();
    assert_eq!(names, ["echo", "hf", "llm", "vader", "vision"]);
    assert_eq!(market.workers[&market.by_name["vader"]], Worker::Service(0));
    let registered = registrations(&node, &wallets);
    assert_eq!(mine(&mut node, registered), 10);
    assert!(registrations(&node, &wallets).is_empty(), "a second start finds all of it done");
    assert!(market.publications(&node, &knobs, url_of).is_empty());
    assert!(fundings(&node, &wallets, 0).is_empty());
    for name in ["echo", "llm", "vision", "hf"] {
        assert_eq!(builtin_address(name), Some(market.by_name[name]), "{name}");
    }
    assert_eq!(builtin_address("vader"), None);
}

#[test]
fn delivery_and_minimum_are_those_of_the_list() {
    let mut node = node(&[]);
    let knobs = Knobs::default();
    let txs = Market::default().publications(&node, &knobs, url_of);
    mine(&mut node, txs);
    let market = Market::read(&node, &knobs);
    for (name, first) in [("echo", 1), ("llm", 0), ("vision", 0), ("hf", 1)] {
        let params = read(&node, market.by_name[name], &ISource::getSourceParamsCall {}).unwrap();
        assert_eq!(params.deliveryMethod, first, "{name}");
        assert_eq!(Wei::from_u256(params.minPayment), Wei::parse("0.001 OGPU").unwrap());
    }
}

#[test]
fn a_service_for_a_built_in_source_works_for_it_and_makes_no_other() {
    let mut knobs = Knobs::default();
    knobs.turn("service", "llm=http://127.0.0.1:5555").unwrap();
    let all = wanted(&knobs);
    assert_eq!(all.len(), 4);
    let llm = all.iter().find(|w| w.name == "llm").unwrap();
    assert_eq!(llm.worker, Worker::Service(0));
}

#[test]
fn somebody_elses_source_with_our_metadata_is_not_ours() {
    let thief = Wallet::of_provider(9, 9, CHAIN_ID);
    let mut node = node(std::slice::from_ref(&thief));
    let knobs = Knobs::default();
    let echo = &wanted(&knobs)[0];
    let params = echo.params(thief.address(), url_of(echo.metadata()));
    let call = INexus::publishSourceCall { sourceParams: params };
    let (_, raw) = thief.sign(0, NEXUS, call.abi_encode().into(), PUBLISH_GAS);
    let tx = PoolTx::trusted(thief.address(), raw).unwrap();
    assert_eq!(mine(&mut node, vec![tx]), 1);
    assert!(Market::read(&node, &knobs).by_name.is_empty());
}
