//! The chain over JSON-RPC.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{Address, B256};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::ChainError;
use super::fees::{GasBook, GasKey};
use super::finality::FinalityRule;
use super::history::{self, Search};
use super::rpc::Endpoint;
use super::rpc::pool::Pool;
use super::send::Sender;
use super::signer::{SignError, Signer, peek};
use super::view::{GasUsed, Question};
use super::watch::{Stream, Watcher};
use super::{
    Chain, ChainFacts, SignRequest, SurveyRequest, VaultFacts, WalletFacts, guard, objects, survey,
    view,
};
use crate::store::durable::Durable;
use crate::units::time::Rate;
use crate::units::{
    BlockRef, Call, GasForecast, LaneView, LogRead, Network, Nonce, PastPublication, ResponseFacts,
    SendOutcome, Seq, SignedTx, Slot, SourceFacts, Survey, TaskFacts,
};

/// How many sent transactions are remembered until their receipts come.
const MOST_SENT: usize = 16_384;

/// A chain behind one or more JSON-RPC endpoints.
///
/// Needs no signer to read.
#[derive(Debug)]
pub struct RpcChain {
    network: Arc<Network>,
    signer: Option<Arc<Signer>>,
    pool: Pool,
    finality: FinalityRule,
    sender: Sender,
    watcher: tokio::sync::Mutex<Watcher>,
    gas: Mutex<GasBook>,
    sent: Mutex<BTreeMap<B256, (GasKey, u64)>>,
}

impl RpcChain {
    /// A chain behind `first` and `others`; nothing is asked yet.
    pub fn new(
        network: Arc<Network>,
        first: Endpoint,
        others: Vec<Endpoint>,
        signer: Option<Signer>,
    ) -> Self {
        let batch = network.rpc_batch;
        let first = first.with_batch(batch);
        let others = others.into_iter().map(|other| other.with_batch(batch)).collect();
        let finality = FinalityRule::new(network.finality, first.timing().second_look);
        Self {
            signer: signer.map(Arc::new),
            pool: Pool::new(first, others),
            finality,
            sender: Sender::default(),
            watcher: tokio::sync::Mutex::default(),
            gas: Mutex::default(),
            sent: Mutex::default(),
            network,
        }
    }

    /// The endpoints: scheme and host of each.
    pub fn endpoints(&self) -> Vec<String> {
        self.pool.all().iter().map(|endpoint| endpoint.name().to_owned()).collect()
    }

    /// Asks each endpoint no faster than this from now on; `None` is no limit.
    pub fn pace(&self, rate: Option<Rate>) {
        self.pool.all().iter().for_each(|endpoint| endpoint.set_quota(rate));
    }

    /// What a wallet has published in final blocks, from a block on, lowest nonce first; and the
    /// first nonce that no final block has used.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn published_by(
        &self,
        wallet: Address,
        from: u64,
    ) -> Result<(Vec<PastPublication>, Nonce), ChainError> {
        let view = self.view(wallet, Vec::new(), Vec::new()).await?;
        let search = Search { network: &self.network, wallet, from, to: view.final_number };
        let search = &search;
        let found = self
            .pool
            .over(|endpoint| async move { history::publications(&endpoint, search).await })
            .await?;
        Ok((found, Nonce(view.final_count)))
    }

    /// What gas is expected to come to, seen from a survey just made for the same request.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn forecast(
        &self,
        request: &SurveyRequest,
        survey: &Survey,
    ) -> Result<GasForecast, ChainError> {
        let seen = (request, survey);
        self.pool
            .over(|endpoint| async move { survey::forecast(&endpoint, &self.gas, seen).await })
            .await
    }

    /// Remembers what was sent with which gas limit, to learn from its receipt.
    fn remember(&self, txs: &[Durable<SignedTx>]) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for tx in txs.iter().map(Durable::get) {
            if sent.len() >= MOST_SENT || sent.contains_key(&tx.hash) {
                continue;
            }
            if let Some(read) = peek(&tx.raw, &self.network, tx.slot.wallet) {
                sent.insert(tx.hash, (GasKey::of(&read.call), read.fees.gas_limit));
            }
        }
    }

    fn learn(&self, used: &[GasUsed]) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gas = self.gas.lock().unwrap_or_else(PoisonError::into_inner);
        for GasUsed { tx_hash, used, ok } in used {
            if let Some((key, limit)) = sent.remove(tx_hash) {
                gas.used(key, *used, limit, *ok);
            }
        }
    }
}

impl Chain for RpcChain {
    fn wallet(&self) -> Option<Address> {
        self.signer.as_ref().map(|signer| signer.address())
    }

    async fn guard(&self) -> Result<ChainFacts, ChainError> {
        let (facts, first) = self
            .pool
            .over(|endpoint| async move {
                Ok((guard::guard(&endpoint, &self.network).await?, endpoint))
            })
            .await?;
        guard::same_chain(&facts, &first, &self.pool.others(&first)).await?;
        Ok(facts)
    }

    async fn sign(&self, requests: Vec<SignRequest>) -> Vec<Result<SignedTx, SignError>> {
        let Some(signer) = self.signer.clone() else {
            return requests.iter().map(|_| Err(SignError::NoSigner)).collect();
        };
        let network = Arc::clone(&self.network);
        let work = move || {
            let sign = |request: &SignRequest| signer.sign(&network, request);
            requests.par_iter().map(sign).collect()
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(signed) => signed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that is shutting down cancels, and then nobody waits for this.
                Err(_) => std::future::pending().await,
            },
        }
    }

    async fn send(&self, txs: Vec<Durable<SignedTx>>) -> Vec<(Slot, Seq, SendOutcome)> {
        self.remember(&txs);
        self.sender.send(&self.pool, txs).await
    }

    async fn view(
        &self,
        wallet: Address,
        hashes: Vec<B256>,
        doubts: Vec<Nonce>,
    ) -> Result<LaneView, ChainError> {
        let question = Question {
            network: &self.network,
            finality: &self.finality,
            wallet,
            hashes: &hashes,
            doubts: &doubts,
        };
        let question = &question;
        let (view, used) =
            self.pool.over(|endpoint| async move { view::view(&endpoint, question).await }).await?;
        self.learn(&used);
        Ok(view)
    }

    async fn survey(&self, request: SurveyRequest) -> Result<Survey, ChainError> {
        let request = &request;
        self.pool
            .over(|endpoint| async move {
                survey::survey(&endpoint, &self.network, &self.gas, request).await
            })
            .await
    }

    async fn read_logs(&self, ring: &[BlockRef], final_number: u64) -> Result<LogRead, ChainError> {
        self.pool
            .over(|endpoint| async move {
                let stream = Stream {
                    nexus: self.network.nexus,
                    finality: &self.finality,
                    endpoint: &endpoint,
                };
                self.watcher.lock().await.read(&stream, (ring, final_number)).await
            })
            .await
    }

    async fn read_responses(
        &self,
        responses: Vec<Address>,
        at: BlockRef,
    ) -> Result<Vec<Option<ResponseFacts>>, ChainError> {
        let responses = &responses;
        self.pool
            .over(|endpoint| async move { objects::responses(&endpoint, responses, at).await })
            .await
    }

    async fn read_tasks(
        &self,
        tasks: Vec<Address>,
        at: BlockRef,
    ) -> Result<Vec<Option<TaskFacts>>, ChainError> {
        let tasks = &tasks;
        self.pool.over(|endpoint| async move { objects::tasks(&endpoint, tasks, at).await }).await
    }

    async fn read_source(&self, source: Address) -> Result<Option<SourceFacts>, ChainError> {
        self.pool.over(|endpoint| async move { objects::source(&endpoint, source).await }).await
    }

    async fn vault_of(&self, account: Address) -> Result<VaultFacts, ChainError> {
        self.pool
            .over(|endpoint| async move { objects::vault(&endpoint, &self.network, account).await })
            .await
    }

    async fn wallet_of(&self, account: Address) -> Result<WalletFacts, ChainError> {
        self.pool.over(|endpoint| async move { objects::wallet(&endpoint, account).await }).await
    }

    async fn is_agent_of(&self, account: Address, agent: Address) -> Result<bool, ChainError> {
        self.pool
            .over(|endpoint| async move {
                objects::is_agent_of(&endpoint, &self.network, (account, agent)).await
            })
            .await
    }

    async fn estimate(&self, from: Address, call: Call) -> Result<u64, ChainError> {
        let call = &call;
        self.pool
            .over(|endpoint| async move {
                survey::estimate(&endpoint, &self.network, from, call).await
            })
            .await
    }
}
