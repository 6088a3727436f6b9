//! Replies of a node, garbled at random: whatever comes back, a read ends, and asks no more often
//! than its schedule allows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::post;
use serde_json::Value;
use tokio::runtime::Builder;

use super::super::fuzz::{Chance, tries};
use super::getters::network;
use super::node;
use super::setting::Setting;
use super::world::{Shared, World, held};
use crate::chain::rpc::Timing;
use crate::chain::{Chain, Endpoint, OnRevert, RpcChain, SurveyRequest};

/// The most exchanges that one read may take: a few batches, each tried five times, and again
/// while the node contradicts itself.
const MOST_EXCHANGES: u64 = 150;

#[derive(Clone)]
struct Garbler {
    world: Shared,
    seed: u64,
}

async fn serve(State(garbler): State<Garbler>, body: String) -> Response<Body> {
    let requests = match serde_json::from_str(&body).unwrap() {
        Value::Array(requests) => requests,
        single => vec![single],
    };
    let replies = Value::from(node::replies(&garbler.world, 0, &requests, None));
    let mut bytes = replies.to_string().into_bytes();
    let count = {
        let world = &mut *held(&garbler.world);
        world.counts.packets += 1;
        world.counts.packets
    };
    let mut chance = Chance::new(garbler.seed ^ count << 32);
    let words =
        ["\"result\":", "null", "\"error\":{}", "\"0x\"", "{", "[", "\"id\":0", "\"code\":3,"];
    if chance.below(3) > 0 {
        chance.change(&mut bytes, &words);
    }
    Response::new(Body::from(bytes))
}

/// Whether any of the reads succeeded.
async fn read_all(seed: u64) -> bool {
    let world: Shared = Arc::new(Mutex::new(World::new(Setting::of(1).calm())));
    (0..5).for_each(|_| held(&world).mine());
    let ring = [held(&world).chain.blocks[1].at];
    let garbler = Garbler { world: Shared::clone(&world), seed };
    let router = Router::new().route("/", post(serve)).with_state(garbler);
    let chain = RpcChain::new(
        Arc::new(network().clone()),
        Endpoint::local_with(router, Timing::remote()),
        Vec::new(),
        None,
    );
    let asked = |before: u64| held(&world).counts.packets - before;
    let (wallet, other) = (Address::repeat_byte(3), Address::repeat_byte(4));
    let survey = SurveyRequest {
        wallet: Some(wallet),
        payer: Some(wallet),
        on_revert: OnRevert::Guess,
        ..SurveyRequest::default()
    };
    let at = *ring.last().expect("a stream begins somewhere");
    let before = asked(0);
    let mut well = chain.guard().await.is_ok();
    well |= chain.view(wallet, vec![B256::ZERO], vec![crate::units::Nonce(0)]).await.is_ok();
    drop(chain.survey(survey).await);
    drop(chain.read_tasks(vec![wallet, other], at).await);
    drop(chain.read_responses(vec![wallet, other], at).await);
    drop(chain.wallet_of(wallet).await);
    // The log stream waits for blocks as long as it takes.
    drop(tokio::time::timeout(Duration::from_secs(120), chain.read_logs(&ring, 0)).await);
    let took = asked(before);
    assert!(took <= 7 * MOST_EXCHANGES, "seven reads took {took} exchanges");
    well
}

#[test]
fn replies_of_a_node() {
    let mut seed = 0;
    tries(500, &[b"-"], &["-"], |_| {
        seed += 1;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(read_all(seed))
    });
}
