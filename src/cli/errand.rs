//! Errands: runs without steps that move money, take it back, or use nonces up. Each goes through
//! journaled slots like any other run, so a crash never does it twice.

use std::sync::Arc;

use alloy::primitives::Address;
use serde_json::Value;

use super::clock;
use super::conduct::Conduct;
use super::connect::Connection;
use super::failure::Failure;
use super::history::History;
use super::place::{self, StatePlace};
use super::settings::Settings;
use super::watch::Manner;
use crate::chain::ChainFacts;
use crate::driver::preflight::Start;
use crate::driver::{Begin, Finish, facts};
use crate::engine::RunHeader;
use crate::plan::Plan;
use crate::store::WalletLock;
use crate::units::{RunId, Wei};

/// A run without steps that is there for something else.
pub(super) struct Errand<'a> {
    /// The settings.
    pub(super) settings: &'a Settings,
    /// The network.
    pub(super) connection: &'a Connection,
    /// The state folder.
    pub(super) state: &'a StatePlace,
    /// Who signs.
    pub(super) signer: Address,
    /// What the guard found.
    pub(super) found: &'a ChainFacts,
}

impl Errand<'_> {
    /// Carries it out in a run of its own, to its end or to where it stops.
    ///
    /// # Errors
    /// As [`Conduct::quietly`].
    pub(super) async fn carry_out(
        self,
        payer: Address,
        cap: Option<Wei>,
        lock: WalletLock,
        begin: impl FnOnce(Box<RunHeader>) -> Begin,
    ) -> Result<(RunId, Finish, History), Failure> {
        let Self { settings, connection, state, signer, found } = self;
        let plan = Plan::without_steps(&connection.network);
        let (run, seed) = place::random_run();
        let header = Start {
            run: run.clone(),
            plan: &plan,
            bundle: Value::Null,
            facts: found,
            signer,
            payer,
            cap,
            at: clock::now(),
            seed,
        }
        .header();
        let begun = begin(header.clone());
        let (finish, history) = Self { settings, connection, state, signer, found }
            .conducted(header, lock, begun)
            .await?;
        Ok((run, finish, history))
    }

    /// Conducts it, as new or as far as it is.
    ///
    /// # Errors
    /// As [`Conduct::quietly`].
    pub(super) async fn conducted(
        self,
        header: Box<RunHeader>,
        lock: WalletLock,
        begin: Begin,
    ) -> Result<(Finish, History), Failure> {
        let Self { settings, connection, state, .. } = self;
        let conduct = Conduct {
            settings,
            connection,
            state,
            run: header.run.clone(),
            facts: facts(&header),
            begin,
            lock,
            manner: Manner::silent(settings.show),
            gas: Vec::new(),
            detach: false,
            timeout: None,
            plan: Arc::new(Plan::without_steps(&connection.network)),
        };
        conduct.quietly().await
    }
}
