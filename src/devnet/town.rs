//! A devnet with its market open and its providers at work: what the commands use.
//!
//! [`Town::open`] publishes the built-in sources and registers the providers, where that has not
//! been done yet. [`Town::work`] is the loop around [`Providers`]: it waits for blocks, for
//! responses that are ready and for service containers, takes one turn at a time on the blocking
//! pool, and ticks where blocks come at an interval. It decides nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;

use super::crew::{self, Mission, Wallet};
use super::faults::{Concern, Dice};
use super::functions::TaskConfig;
use super::http::{Callbacks, Service, callback_routes};
use super::knobs::Knobs;
use super::market::{self, Market};
use super::provider::{Pins, Providers, Question};
use super::schemas::Schemas;
use super::{CHAIN_ID, Clock, Devnet, DevnetError, Genesis, Mining, Node, Options, Place};
use super::{PoolLimits, PoolTx};
use crate::units::cid::Cid;
use crate::units::network::DEVNET_BASE;
use crate::units::{Timestamp, Wei};

/// The seed of the key that signs for whoever has none, the same on every devnet.
const ACCOUNT_SEED: u64 = 0x6f67_6163_6374;

/// How many transactions the providers send at once: others use the node in between.
const BATCH: usize = 1024;

/// What a town is opened with.
#[derive(Clone)]
pub struct TownOptions {
    /// Where the chain and the pins are kept.
    pub place: Place,
    /// What was turned.
    pub knobs: Knobs,
    /// The links of pinned contents begin with this; no slash at the end.
    pub base: String,
    /// The time.
    pub clock: Clock,
    /// Block 0; [`genesis`] is the usual one.
    pub genesis: Genesis,
}

/// Block 0 of every devnet: play money for the built-in account and for the market's owner.
pub fn genesis() -> Genesis {
    let coins = |count: u64| Wei::from_u128(1_000_000_000_000_000_000).saturating_mul(count);
    Genesis::default().with_funds(market::owner(), coins(1_000_000_000_000), Wei::ZERO).with_funds(
        account().0,
        coins(1_000_000),
        coins(1_000_000),
    )
}

/// The built-in account: its address, and the private key that everybody knows.
pub fn account() -> (Address, B256) {
    Wallet::of_provider(ACCOUNT_SEED, 0, CHAIN_ID).into_key()
}

struct Inner {
    devnet: Devnet,
    knobs: Arc<Knobs>,
    market: Market,
    schemas: Mutex<Schemas>,
    callbacks: Arc<Callbacks>,
    gateway_reads: AtomicU64,
}

/// A running devnet with sources and providers. Clones are the same one.
#[derive(Clone)]
pub struct Town {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Town {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { devnet, knobs, market, .. } = &*self.inner;
        f.debug_struct("Town")
            .field("devnet", devnet)
            .field("knobs", knobs)
            .field("market", market)
            .finish_non_exhaustive()
    }
}

impl Town {
    /// Opens the devnet and its market. Reads the whole chain, and may wait for the disk.
    ///
    /// # Errors
    /// [`DevnetError`] if the devnet cannot be opened or written to.
    pub fn open(options: TownOptions) -> Result<Self, DevnetError> {
        let TownOptions { place, knobs, base, clock, genesis } = options;
        let mining = if knobs.block_time.is_some() { Mining::ByTick } else { Mining::AtOnce };
        let limits = PoolLimits::default();
        let devnet = Devnet::open(Options { place, genesis, mining, limits, base, clock })?;
        let market = open_market(&devnet, &knobs, mining)?;
        let inner = Inner {
            devnet,
            knobs: Arc::new(knobs),
            market,
            schemas: Mutex::default(),
            callbacks: Arc::default(),
            gateway_reads: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The devnet itself.
    pub fn devnet(&self) -> &Devnet {
        &self.inner.devnet
    }

    /// The sources that pipelines call `builtin:NAME`, those of services included.
    pub fn sources(&self) -> &BTreeMap<String, Address> {
        &self.inner.market.by_name
    }

    /// Notes what a step accepts that publishes to `source` and calls `function` with data of
    /// these `fields`, so that made-up outputs can fit.
    pub fn hand_over<'a>(
        &self,
        source: Address,
        function: &str,
        fields: impl IntoIterator<Item = &'a str>,
        schema: &Value,
    ) {
        let mut schemas = self.inner.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.hand_over(source, function, fields, schema);
    }

    /// Gives play money to an account: at least `wallet` and `vault` are there afterwards.
    ///
    /// # Errors
    /// As [`Devnet::send`].
    pub fn fund(&self, account: Address, wallet: Wei, vault: Wei) -> Result<(), DevnetError> {
        let Inner { devnet, knobs, .. } = &*self.inner;
        let txs = devnet.read(|node| market::gifts(node, account, wallet, vault))?;
        if !txs.is_empty() {
            submit(devnet, txs)?;
            if knobs.block_time.is_some() {
                devnet.mine()?;
            }
        }
        Ok(())
    }

    /// Everything that is served: the devnet's router, with the gateway's faults, and the
    /// callback of services.
    pub fn router(&self) -> Router {
        let faults = from_fn_with_state(self.clone(), gateway_faults);
        let callbacks = callback_routes(Arc::clone(&self.inner.callbacks));
        self.inner.devnet.router().layer(faults).merge(callbacks)
    }

    /// Lets the providers work until the future is dropped. In process, where the router is on
    /// no port, it listens for the callbacks of services, if there are any.
    ///
    /// # Errors
    /// [`DevnetError`] if the devnet cannot be read or written any more, or the port is taken.
    pub async fn work(&self) -> Result<(), DevnetError> {
        tokio::try_join!(self.provide(), self.tick(), self.listen()).map(|_| ())
    }

    async fn listen(&self) -> Result<(), DevnetError> {
        let Inner { devnet, knobs, callbacks, .. } = &*self.inner;
        if knobs.services.is_empty() || devnet.base() != DEVNET_BASE {
            return Ok(());
        }
        let port = knobs.port;
        let failed = |source| DevnetError::Port { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        axum::serve(listener, callback_routes(Arc::clone(callbacks))).await.map_err(failed)
    }

    /// Mines at the interval of the knobs, if there is one.
    async fn tick(&self) -> Result<(), DevnetError> {
        let Some(span) = self.inner.knobs.block_time else { return Ok(()) };
        let mut ticks = tokio::time::interval(span);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let devnet = self.inner.devnet.clone();
            blocking(move || devnet.mine()).await?;
        }
    }

    async fn provide(&self) -> Result<(), DevnetError> {
        let Inner { devnet, knobs, market, .. } = &*self.inner;
        let began = Instant::now();
        let now = || Timestamp::from_millis(0).after(began.elapsed());
        let mut heads = devnet.heads();
        let (sender, mut finished) = mpsc::unbounded_channel();
        let desk = Desk { town: self.clone(), services: self.services(), sender, began };
        let mut providers = Providers::new(Arc::clone(knobs), market.clone());
        let mut taken_back = 0;
        loop {
            let head = heads.borrow_and_update().number;
            if is_reorg(knobs.reorg, head, taken_back) {
                taken_back = head;
                let devnet = devnet.clone();
                blocking(move || devnet.reorg(1)).await?;
            }
            let (town, at) = (self.clone(), now());
            let (back, asks) = blocking(move || town.turn(providers, at)).await?;
            providers = back;
            asks.into_iter().for_each(|question| desk.ask(question));
            let wake = providers.wakes_at().map(|at| began + at.since(Timestamp::default()));
            tokio::select! {
                changed = heads.changed() => if changed.is_err() { return Ok(()) },
                Some((mission, output)) = finished.recv() => {
                    providers.finished(mission, output, now());
                    while let Ok((mission, output)) = finished.try_recv() {
                        providers.finished(mission, output, now());
                    }
                }
                () = until(wake) => {}
            }
        }
    }

    /// One turn of the providers, with what they send and pin.
    fn turn(
        &self,
        mut providers: Providers,
        now: Timestamp,
    ) -> Result<(Providers, Vec<Question>), DevnetError> {
        let devnet = &self.inner.devnet;
        let sight = devnet.read(|node| providers.look(node))?;
        let schemas = self.inner.schemas.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failed = Mutex::new(None);
        let pins = Pins {
            read: &|link| pinned(devnet, link),
            pin: &|contents| match devnet.pin_all(contents) {
                Ok(links) => links,
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Vec::new()
                }
            },
        };
        let schema_of = |source: Address, config: &TaskConfig| schemas.of_task(source, config);
        let turn = providers.work(sight, &pins, &schema_of, now);
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        submit(devnet, turn.txs)?;
        Ok((providers, turn.asks))
    }

    /// A client for each service of the knobs; `None` where none can be made.
    fn services(&self) -> Vec<Option<Service>> {
        let client = |url: &Url| {
            let made = Service::new(url.clone(), Arc::clone(&self.inner.callbacks));
            made.map_err(|error| tracing::warn!(%url, error = %error, "no service")).ok()
        };
        self.inner.knobs.services.iter().map(|service| client(&service.url)).collect()
    }
}

/// Where questions to service containers are asked, and where their answers come in.
struct Desk {
    town: Town,
    services: Vec<Option<Service>>,
    sender: mpsc::UnboundedSender<(Mission, Value)>,
    began: Instant,
}

impl Desk {
    /// Asks a container. Whatever goes wrong there is silence here.
    fn ask(&self, question: Question) {
        let service = self.services.get(question.service).cloned().flatten();
        let Some(service) = service else { return };
        let (town, sender) = (self.town.clone(), self.sender.clone());
        let at = self.began + question.at.since(Timestamp::default());
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            let Question { mission, function, data, expiry, .. } = question;
            let left = town.left_until(expiry);
            match service.run(mission.task, &function, &data, left).await {
                Ok(output) => drop(sender.send((mission, output))),
                Err(error) => {
                    let hint = error.hint();
                    tracing::warn!(task = %mission.task, %error, hint, "no output");
                }
            }
        });
    }
}

impl Town {
    fn left_until(&self, expiry: crate::units::ChainTime) -> Duration {
        self.inner.devnet.now().until(expiry)
    }
}

/// Publishes, funds and registers what is missing.
fn open_market(devnet: &Devnet, knobs: &Knobs, mining: Mining) -> Result<Market, DevnetError> {
    let wallets = crew::wallets(knobs, CHAIN_ID);
    let mut market = devnet.read(|node| Market::read(node, knobs))?;
    let mut links = BTreeMap::new();
    for wanted in market::wanted(knobs) {
        if !market.by_name.contains_key(&wanted.name) {
            let metadata = wanted.metadata();
            links.insert(metadata.clone(), devnet.pin(&metadata)?);
        }
    }
    let url_of = |metadata: Bytes| links.get(&metadata).cloned().unwrap_or_default();
    let first = |node: &Node| {
        let mut txs = market.publications(node, knobs, url_of);
        txs.extend(market::fundings(node, &wallets, txs.len()));
        txs
    };
    let mined = |txs: Vec<PoolTx>| {
        if txs.is_empty() {
            return Ok(());
        }
        submit(devnet, txs)?;
        if mining == Mining::ByTick { devnet.mine().map(|_| ()) } else { Ok(()) }
    };
    mined(devnet.read(first)?)?;
    mined(devnet.read(|node| market::registrations(node, &wallets))?)?;
    market = devnet.read(|node| Market::read(node, knobs))?;
    Ok(market)
}

/// Sends transactions of our own. What the pool refuses leaves no gap: nonces are read anew.
fn submit(devnet: &Devnet, txs: Vec<PoolTx>) -> Result<(), DevnetError> {
    let mut txs = txs.into_iter().peekable();
    while txs.peek().is_some() {
        let batch = devnet.send(txs.by_ref().take(BATCH))?;
        for refused in batch.into_iter().filter_map(Result::err) {
            tracing::warn!(error = %refused, "a provider's transaction was refused");
        }
    }
    Ok(())
}

fn pinned(devnet: &Devnet, link: &str) -> Option<Bytes> {
    let cid = Cid::in_url(&Url::parse(link).ok()?)?;
    devnet.pinned(&cid).ok().flatten()
}

/// Whether the head of this height is taken back once, every `every` blocks.
const fn is_reorg(every: u32, head: u64, taken_back: u64) -> bool {
    every > 0 && head > taken_back && head.is_multiple_of(every as u64)
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DevnetError> + Send + 'static,
) -> Result<T, DevnetError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Lets some reads of the gateway fail, as the knobs say.
async fn gateway_faults(State(town): State<Town>, request: Request, next: Next) -> Response {
    let Inner { knobs, gateway_reads, .. } = &*town.inner;
    if request.uri().path().starts_with("/ipfs/") {
        let read = gateway_reads.fetch_add(1, Ordering::Relaxed);
        let dice = Dice::new(knobs.seed, Concern::Gateway);
        if dice.hits(knobs.gateway_errors, &read.to_be_bytes()) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
#[path = "town_tests.rs"]
mod tests;
