//! A devnet of the test's own, with a source that was switched off and a gateway that lies.

use std::sync::Arc;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use ogflow::chain::contract::abi::{INexus, SourceParams};
use ogflow::devnet::crew::{Gas, Wallet};
use ogflow::devnet::knobs::Knobs;
use ogflow::devnet::town::{Town, TownOptions, genesis};
use ogflow::devnet::{CHAIN_ID, NEXUS, Place, PoolTx};
use ogflow::units::{ChainTime, Wei};

use crate::support::{HELLO, Project};

/// How the gateway lies about outputs.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// It does not.
    None,
    /// It serves text that is no JSON.
    NotJson,
    /// It serves another output.
    OtherOutput,
    /// It points to a place inside of a private network.
    Redirect,
    /// It fails.
    Broken,
    /// It never ends.
    Endless,
    /// It ends, one chunk after the limit.
    Huge,
}

/// A devnet served by this process.
struct Served {
    url: String,
    town: Town,
    owner: Wallet,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    fn with(lie: Lie) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let owner = Wallet::of_provider(99, 0, CHAIN_ID);
        let coins = Wei::parse("10 OGPU").unwrap();
        let clock = Arc::new(|| ChainTime::from_secs(now()));
        let town = Town::open(TownOptions {
            place: Place::Memory,
            knobs: Knobs::default(),
            base: url.clone(),
            clock,
            genesis: genesis().with_funds(owner.address(), coins, Wei::ZERO),
        })
        .unwrap();
        let router = town.router().layer(from_fn(move |request, next| gateway(lie, request, next)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        let worker = town.clone();
        runtime.spawn(async move { worker.work().await });
        Self { url, town, owner, _runtime: runtime }
    }

    /// Publishes a source of the test's own and switches it off again.
    fn inactive_source(&self) -> Address {
        let params = SourceParams {
            client: self.owner.address(),
            imageMetadataUrl: format!("{}/ipfs/none", self.url),
            imageEnvironments: 1,
            minPayment: U256::ONE,
            minAvailableLockup: U256::ZERO,
            maxExpiryDuration: U256::from(86_400),
            privacyEnabled: false,
            optionalParamsUrl: String::new(),
            deliveryMethod: 0,
            lastUpdateTime: U256::ZERO,
        };
        let count = u64::try_from(self.town.sources().len()).unwrap();
        let source = NEXUS.create(count + 1);
        self.send(0, INexus::publishSourceCall { sourceParams: params }.abi_encode());
        self.send(1, INexus::inactivateSourceCall { source }.abi_encode());
        source
    }

    fn send(&self, nonce: u64, input: Vec<u8>) {
        let gas = Gas { limit: 3_000_000, max_fee: 100_000_000_000 };
        let (_, raw) = self.owner.sign(nonce, NEXUS, input.into(), gas);
        let taken = self.town.devnet().send([PoolTx::recover(raw).unwrap()]).unwrap();
        for one in taken {
            one.unwrap();
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The gateway between the devnet and its readers: configs come through, outputs may not.
async fn gateway(lie: Lie, request: Request, next: Next) -> Response {
    let read = request.uri().path().starts_with("/ipfs/");
    let response = next.run(request).await;
    if !read || matches!(lie, Lie::None) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let is_output = !String::from_utf8_lossy(&bytes).contains("function_name");
    if !is_output {
        return Response::from_parts(parts, Body::from(bytes));
    }
    match lie {
        Lie::None => Response::from_parts(parts, Body::from(bytes)),
        Lie::NotJson => "<html>no</html>".into_response(),
        Lie::OtherOutput => "{\"message\":\"forged\"}".into_response(),
        Lie::Redirect => {
            let place = "http://169.254.169.254/latest/meta-data/";
            (StatusCode::FOUND, [(header::LOCATION, place)]).into_response()
        }
        Lie::Broken => StatusCode::BAD_GATEWAY.into_response(),
        Lie::Endless => blanks(usize::MAX),
        Lie::Huge => blanks((64 << 20) / CHUNK + 1),
    }
}

const CHUNK: usize = 1 << 16;

/// So many chunks of blanks.
fn blanks(count: usize) -> Response {
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; CHUNK]));
    Body::from_stream(chunks.take(count)).into_response()
}

/// What a run against a lying gateway left.
#[track_caller]
fn fails_under(lie: Lie) {
    let served = Served::with(lie);
    let pipeline = HELLO
        .replace("    payment:", "    expires: 5s\n    retry: { max: 0 }\n    payment:")
        .replace("builtin:echo", "builtin:llm")
        .replace("function: echo", "function: chat")
        .replace("outputs:\n  said: \"{{ steps.hello.output.message }}\"\n", "");
    let project = Project::with(&pipeline);
    let ran = project.run(&["run", "--rpc-url", &served.url, "--timeout", "60s"]);
    assert_eq!(ran.code, 10, "{lie:?}: {ran:?}");
    let tasks = project.run(&["status", "latest", "--tasks", "--json"]).exits(0).json();
    assert_eq!(tasks["tasks"][0]["state"], "failed", "{lie:?}: {tasks}");
    assert_eq!(tasks["tasks"][0]["paid_wei"], "0", "{lie:?}");
    assert!(!ran.stdout.contains("forged") && !ran.stdout.contains("<html>"), "{}", ran.stdout);
}

#[test]
fn an_inactive_source_is_found_before_anything_is_published() {
    let served = Served::with(Lie::None);
    let source = served.inactive_source();
    let project = Project::with(&HELLO.replace("builtin:echo", &format!("\"{source}\"")));
    let ran = project.run(&["run", "--rpc-url", &served.url]).exits(3);
    assert!(ran.stderr.contains("E0402") && ran.stderr.contains("inactive"), "{}", ran.stderr);
    project.spent_nothing();
}

#[test]
fn an_output_that_is_no_json_is_never_paid() {
    fails_under(Lie::NotJson);
}

#[test]
fn an_output_that_was_exchanged_on_the_way_is_never_paid() {
    fails_under(Lie::OtherOutput);
}

#[test]
fn a_redirect_into_a_private_network_is_not_followed() {
    fails_under(Lie::Redirect);
}

#[test]
fn an_output_that_never_ends_is_cut_off() {
    fails_under(Lie::Endless);
}

#[test]
fn an_output_above_the_limit_is_never_paid_though_it_ends() {
    fails_under(Lie::Huge);
}

#[test]
fn a_gateway_that_is_down_is_exit_7_and_its_words_are_not_an_output() {
    let served = Served::with(Lie::Broken);
    let project = Project::with(HELLO);
    let ran = project.run(&["run", "--rpc-url", &served.url]).exits(7);
    assert!(ran.stderr.contains("E0903") && ran.stderr.contains("ogflow resume"), "{}", ran.stderr);
}

#[test]
fn a_devnet_served_by_a_program_is_reached_like_any_other() {
    let served = Served::with(Lie::None);
    let project = Project::with(HELLO);
    project.run(&["run", "--rpc-url", &served.url]).exits(0).prints(&["outputs.said"]);
}
