//! The chain as the program has it, with a sender that may be wrong on purpose.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;

use alloy::primitives::{Address, B256};

use super::life::alone;
use super::points::{Edge, pass};
use super::setting::Mutation;
use super::world::Shared;
use crate::chain::{
    Chain, ChainError, ChainFacts, RpcChain, SignError, SignRequest, SurveyRequest, VaultFacts,
    WalletFacts,
};
use crate::store::Durable;
use crate::units::{
    BlockRef, Call, LaneView, LogRead, Nonce, ResponseFacts, SendOutcome, Seq, SignedTx, Slot,
    SourceFacts, Survey, TaskFacts,
};

pub(super) struct Mutant {
    pub inner: RpcChain,
    pub world: Shared,
    pub life: u64,
    pub mutation: Mutation,
    /// What was asked to be signed, and how often it was taken for lost.
    pub requests: Mutex<Vec<SignRequest>>,
}

impl Mutant {
    /// Signs on another thread, which is waited for before anything else goes on.
    async fn sign_at_once(&self, requests: Vec<SignRequest>) -> Vec<Result<SignedTx, SignError>> {
        pass(&self.world, self.life, &["key:sign"], Edge::Before).await;
        let mut signing = pin!(self.inner.sign(requests));
        let signed = poll_fn(|context| alone(|| signing.as_mut().poll(context))).await;
        pass(&self.world, self.life, &["key:sign"], Edge::After).await;
        signed
    }

    /// Signs what a slot does for the next nonces, and sends that too.
    async fn send_anew(&self, lost: Vec<Slot>) {
        let requests: Vec<SignRequest> = {
            let known = self.requests.lock().unwrap();
            let of_lost = known.iter().filter(|request| lost.contains(&request.slot));
            let publishes = of_lost.filter(|r| matches!(r.call, Call::PublishTask { .. }));
            let next = known.iter().map(|request| request.slot.nonce.0).max().unwrap_or(0) + 1;
            publishes
                .zip(next..)
                .map(|(request, nonce)| {
                    let slot = Slot { nonce: Nonce(nonce), ..request.slot };
                    SignRequest { slot, seq: Seq(0), ..request.clone() }
                })
                .collect()
        };
        let signed = self.sign_at_once(requests).await;
        let anew = signed.into_iter().flatten().map(Durable::assumed).collect();
        self.inner.send(anew).await;
    }
}

impl Chain for Mutant {
    fn wallet(&self) -> Option<Address> {
        self.inner.wallet()
    }

    async fn guard(&self) -> Result<ChainFacts, ChainError> {
        self.inner.guard().await
    }

    async fn sign(&self, requests: Vec<SignRequest>) -> Vec<Result<SignedTx, SignError>> {
        if self.mutation == Mutation::SendsAnew {
            self.requests.lock().unwrap().extend(requests.iter().cloned());
        }
        if self.mutation != Mutation::OtherNonce {
            return self.sign_at_once(requests).await;
        }
        let slots: Vec<Slot> = requests.iter().map(|request| request.slot).collect();
        let moved = requests.into_iter().map(|mut request| {
            request.slot.nonce = request.slot.nonce.next();
            request
        });
        let signed = self.sign_at_once(moved.collect()).await;
        let back = |(signed, slot): (Result<SignedTx, SignError>, Slot)| {
            signed.map(|tx| SignedTx { slot, ..tx })
        };
        signed.into_iter().zip(slots).map(back).collect()
    }

    async fn send(&self, txs: Vec<Durable<SignedTx>>) -> Vec<(Slot, Seq, SendOutcome)> {
        let outcomes = self.inner.send(txs).await;
        if self.mutation == Mutation::SendsAnew {
            let lost = outcomes.iter().filter(|(_, _, said)| *said == SendOutcome::Unknown);
            self.send_anew(lost.map(|(slot, _, _)| *slot).collect()).await;
        }
        outcomes
    }

    async fn view(
        &self,
        wallet: Address,
        hashes: Vec<B256>,
        doubts: Vec<Nonce>,
    ) -> Result<LaneView, ChainError> {
        self.inner.view(wallet, hashes, doubts).await
    }

    async fn survey(&self, request: SurveyRequest) -> Result<Survey, ChainError> {
        self.inner.survey(request).await
    }

    async fn read_logs(&self, ring: &[BlockRef], final_number: u64) -> Result<LogRead, ChainError> {
        self.inner.read_logs(ring, final_number).await
    }

    async fn read_responses(
        &self,
        responses: Vec<Address>,
        at: BlockRef,
    ) -> Result<Vec<Option<ResponseFacts>>, ChainError> {
        self.inner.read_responses(responses, at).await
    }

    async fn read_tasks(
        &self,
        tasks: Vec<Address>,
        at: BlockRef,
    ) -> Result<Vec<Option<TaskFacts>>, ChainError> {
        self.inner.read_tasks(tasks, at).await
    }

    async fn read_source(&self, source: Address) -> Result<Option<SourceFacts>, ChainError> {
        self.inner.read_source(source).await
    }

    async fn vault_of(&self, account: Address) -> Result<VaultFacts, ChainError> {
        self.inner.vault_of(account).await
    }

    async fn wallet_of(&self, account: Address) -> Result<WalletFacts, ChainError> {
        self.inner.wallet_of(account).await
    }

    async fn is_agent_of(&self, account: Address, agent: Address) -> Result<bool, ChainError> {
        self.inner.is_agent_of(account, agent).await
    }

    async fn estimate(&self, from: Address, call: Call) -> Result<u64, ChainError> {
        self.inner.estimate(from, call).await
    }
}
