//! `ogflow resume --from-chain`: a run whose journal is lost, or an old copy, goes on from what the
//! chain knows of it (safety.md, section 6).
//!
//! First a fence: transfers of nothing take every nonce at which something unknown could still be
//! mined. Then all that the wallet published is final and can be read, and what carries the run's
//! tags is adopted. Only then does the run go on. Stopped anywhere, it can be asked for again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::B256;
use futures::StreamExt;

use super::super::args::{ResumeArgs, RunArgs};
use super::super::connect::{Connection, Purpose};
use super::super::errand::Errand;
use super::super::errors::{of_chain, of_content, of_store};
use super::super::failure::{Exit, Failure};
use super::super::place::{self, StatePlace};
use super::super::prepare::{self, Opened, Wanted};
use super::super::question::{self, Spending};
use super::super::settings::{Settings, SignerChoice};
use super::super::{conduct, devnet, file, run, runs};
use super::{Again, edited, go, other_network, over};
use crate::chain::{Chain, SurveyRequest};
use crate::content::{Body, Content, ContentError, NetworkContent};
use crate::driver::{Begin, ChainRead, Consent};
use crate::engine::{Found, RunOutcome, Wishes};
use crate::store::{LaneKey, Views, WalletLock};
use crate::units::text::counted;
use crate::units::{Nonce, PastPublication, RunId, TaskKey, Wei};

/// The gas of a transfer of nothing.
const FENCE_GAS: u64 = 21_000;
/// How often a node is asked until it has come as far as the fence.
const LOOKS: u32 = 60;
/// How long it is waited between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Configs that are read at the same time.
const READS: usize = 16;

/// Goes on with a run from what the chain knows.
///
/// # Errors
/// When the run is not named, the chain or a config cannot be read, or the reader says no.
pub(super) fn resume(args: &ResumeArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let views = place::views(settings)?.map(|(views, _)| views);
    let known = views.as_ref().map(|views| known(args, views)).transpose()?.flatten();
    drop(views);
    super::super::runtime()?.block_on(async {
        match known {
            Some(run) => recorded(args, settings, here, run).await,
            None => lost(args, settings, here, named(args)?).await,
        }
    })
}

/// The run as the journal knows it; `None` if it does not.
fn known(args: &ResumeArgs, views: &Views) -> Result<Option<RunId>, Failure> {
    let Some(text) = &args.run else { return runs::newest_unfinished(views) };
    if let Some(run) = RunId::parse(text) {
        let rows = views.runs().map_err(|error| of_store(&error))?;
        return Ok(rows.into_iter().map(|row| row.run).find(|known| *known == run));
    }
    runs::resolve(views, text).map(Some)
}

/// The whole id of a run that no journal here knows.
fn named(args: &ResumeArgs) -> Result<RunId, Failure> {
    args.run.as_deref().and_then(RunId::parse).ok_or_else(|| {
        Failure::usage(
            "a run that no journal here knows is named by its whole id, as in `r-7f3k09xm`",
        )
        .help("every report and every line of `--progress json` has it")
    })
}

/// A run of this journal, which is an old copy.
async fn recorded(
    args: &ResumeArgs,
    settings: &Settings,
    here: &Path,
    run: RunId,
) -> Result<Exit, Failure> {
    let state = StatePlace::open(settings)?;
    let views = Views::open(&state.folder).map_err(|error| of_store(&error))?;
    let views = views.ok_or_else(|| runs::none(settings))?;
    if let Some(exit) = over(args, settings, &views, &run)? {
        return Ok(exit);
    }
    let header = views.header(&run).map_err(|error| of_store(&error))?;
    drop(views);
    edited(args.as_recorded, settings, here, &header)?;
    let knobs = devnet::knobs(&args.devnet, settings)?;
    let password = args.watch.password_file.as_ref();
    let connection = Connection::open(settings, Purpose::Act, &knobs, password)?;
    if connection.network.name != header.network.name {
        return Err(other_network(&header, &connection));
    }
    let reading = Reading {
        settings,
        connection: &connection,
        state: &state,
        lane: LaneKey::of(&header),
        run: &run,
        since: header.start_block.number,
    };
    let lock = state.lock_wallet(settings, &connection, &reading.lane)?;
    let (read, lock) = reading.read(lock, args.yes).await?;
    let again = Again {
        run,
        yes: args.yes,
        max_spend: args.max_spend,
        detach: false,
        wishes: Wishes { retry_failed: args.retry_failed, raise_permille: args.raise.unwrap_or(0) },
        consent: Consent { take_over: args.take_over, code: args.accept_code.clone() },
        read: Some(read),
        watch: &args.watch,
    };
    go(settings, connection, state, lock, again).await
}

/// A run that no journal here knows: it begins again under its old id, from its pipeline.
async fn lost(
    args: &ResumeArgs,
    settings: &Settings,
    here: &Path,
    run: RunId,
) -> Result<Exit, Failure> {
    let again = RunArgs {
        file: args.pipeline.clone(),
        yes: args.yes,
        max_spend: args.max_spend,
        limit: args.limit,
        only: args.only.clone(),
        new: true,
        resume: false,
        detach: false,
        params: args.params.clone(),
        devnet: args.devnet.clone(),
        watch: args.watch.clone(),
    };
    let file = file::read(settings, here, again.file.as_deref())?;
    let wanted = Wanted {
        limit: again.limit,
        only: again.only.as_deref(),
        max_spend: again.max_spend,
        password_file: again.watch.password_file.as_ref(),
        ..Wanted::new(&again.params, &again.devnet)
    };
    let opened: Opened = prepare::open((settings, here), file, &wanted, Purpose::Act).await?;
    let state = StatePlace::open(settings)?;
    let lane = run::lane(&opened)?;
    let lock = state.lock_wallet(settings, &opened.connection, &lane)?;
    let reading = Reading {
        settings,
        connection: &opened.connection,
        state: &state,
        lane,
        run: &run,
        since: args.since_block.unwrap_or(0),
    };
    let (read, lock) = reading.read(lock, args.yes).await?;
    run::recovered(settings, &again, &wanted, (opened, state, lock), (run, read)).await
}

/// What is read, and for which run.
struct Reading<'a> {
    settings: &'a Settings,
    connection: &'a Connection,
    state: &'a StatePlace,
    lane: LaneKey,
    run: &'a RunId,
    /// The first block.
    since: u64,
}

impl Reading<'_> {
    /// Sets the fence, and reads all that is below it.
    async fn read(&self, lock: WalletLock, yes: bool) -> Result<(ChainRead, WalletLock), Failure> {
        // No more than this was ever in a pool at once.
        let window = self.connection.network.window;
        self.ask(window, yes).await?;
        self.fence(lock, window).await?;
        let lock = self.state.lock_wallet(self.settings, self.connection, &self.lane)?;
        let (publications, below) = self.publications().await?;
        let known = self.known()?;
        let unknown: Vec<PastPublication> = publications
            .into_iter()
            .filter(|publication| !known.contains(&publication.tx_hash))
            .collect();
        let total = unknown.len();
        let found = self.tagged(unknown).await?;
        self.tell(total, &found);
        Ok((ChainRead { found, below }, lock))
    }

    /// Says what it will do, and asks.
    async fn ask(&self, window: u32, yes: bool) -> Result<(), Failure> {
        let chain = self.connection.chain.as_ref();
        let request = SurveyRequest { wallet: Some(self.lane.wallet), ..SurveyRequest::default() };
        let survey = chain.survey(request).await.map_err(|error| of_chain(&error))?;
        let each = survey.max_fee_per_gas.saturating_mul(FENCE_GAS);
        let most: Wei = each.saturating_mul(u64::from(window));
        let network = &self.connection.network;
        let nonces = counted(window, "nonce");
        self.settings.ui.say(&format!(
            "Reading what wallet {} did for run {} on {}.\nFirst {nonces} are used up by transfers \
             of nothing, so that nothing unknown can be mined later. They cost gas alone.",
            self.lane.wallet, self.run, network.name
        ));
        let shown = question::shown_amount(most);
        question::spend(
            self.settings,
            &Spending {
                network,
                what: format!("Use up {nonces}: {shown} {} of gas at most.", network.symbol),
                most: Some(most),
                verb: "spend up to",
                name: self.run.as_str(),
                capped: true,
                yes,
            },
        )
    }

    async fn fence(&self, lock: WalletLock, window: u32) -> Result<(), Failure> {
        let network = &self.connection.network;
        let signer = self.connection.signer.ok_or_else(|| SignerChoice::missing(network))?;
        let found = self.connection.chain.guard().await.map_err(|error| of_chain(&error))?;
        let (settings, connection, state) = (self.settings, self.connection, self.state);
        let errand = Errand { settings, connection, state, signer, found: &found };
        let begin = |mut header: Box<crate::engine::RunHeader>| {
            header.pipeline = "lane-fence".into();
            Begin::Fence { header, window }
        };
        let (run, finish, _) = errand.carry_out(signer, None, lock, begin).await?;
        if finish.outcome == RunOutcome::Done {
            return Ok(());
        }
        Err(Failure::new(
            conduct::exit_of(finish.outcome),
            format!("the fence is not final: {run}"),
        )
        .help("once the wallet has coins for its gas, the same command goes on"))
    }

    /// The publications of the wallet, once the node has come as far as the fence.
    async fn publications(&self) -> Result<(Vec<PastPublication>, Nonce), Failure> {
        let views = Views::open(&self.state.folder).map_err(|error| of_store(&error))?;
        let views = views.ok_or_else(|| runs::none(self.settings))?;
        let lane = views.lane(&self.lane, self.run).map_err(|error| of_store(&error))?;
        drop(views);
        let (chain, wallet) = (self.connection.chain.as_ref(), self.lane.wallet);
        for look in 1..=LOOKS {
            let (found, below) =
                chain.published_by(wallet, self.since).await.map_err(|error| of_chain(&error))?;
            if below >= lane.next_nonce {
                return Ok((found, below));
            }
            tracing::info!(look, %below, fence = %lane.next_nonce, "the node is behind the fence");
            tokio::time::sleep(PAUSE).await;
        }
        let message = format!("the node does not show nonce {} as final", lane.next_nonce);
        Err(Failure::new(Exit::Unreachable, message).help("the same command tries again"))
    }

    /// The transactions that the journal knows.
    fn known(&self) -> Result<BTreeSet<B256>, Failure> {
        let views = Views::open(&self.state.folder).map_err(|error| of_store(&error))?;
        let Some(views) = views else { return Ok(BTreeSet::new()) };
        views.signed_hashes(&self.lane).map_err(|error| of_store(&error))
    }

    /// Reads the tags of publications; those of other runs are left out.
    async fn tagged(&self, publications: Vec<PastPublication>) -> Result<Vec<Found>, Failure> {
        let content = self.connection.content(None, self.state.blobs.clone())?;
        let content = &content;
        let prefix = TaskKey::run_prefix(self.run);
        let reads = publications.into_iter().map(|publication| async move {
            let tag = tag(content, &publication.config).await;
            (publication, tag)
        });
        let mut reads = futures::stream::iter(reads).buffered(READS);
        let mut found = Vec::new();
        while let Some((publication, tag)) = reads.next().await {
            let key = tag.map_err(|error| {
                of_content(&error).and_help("nothing was published; the same command tries again")
            })?;
            if key.is_none_or(|key| key.0.starts_with(&prefix)) {
                found.push(Found { key, publication });
            }
        }
        Ok(found)
    }

    fn tell(&self, total: usize, found: &[Found]) {
        let own = found.iter().filter(|found| found.key.is_some()).count();
        let plain = found.len() - own;
        let mut lines = vec![format!(
            "{} of wallet {} that this journal does not know: {own} of run {}",
            counted(total, "publication"),
            self.lane.wallet,
            self.run
        )];
        if plain > 0 {
            lines.push(format!(
                "{plain} without a readable tag: adopted where the config is the same"
            ));
        }
        let others = total - found.len();
        if others > 0 {
            lines.push(format!("{others} of other runs: left alone"));
        }
        if !found.is_empty() {
            lines.push("What is found is adopted by its task, and not published again.".into());
        }
        self.settings.ui.say(&lines.join("\n"));
    }
}

/// The tag of a config; `None` if it has none, or will never be readable.
async fn tag(content: &NetworkContent, url: &str) -> Result<Option<TaskKey>, ContentError> {
    let fetched = match content.fetch(url).await {
        Ok(fetched) => fetched,
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            tracing::warn!(%error, "a config that cannot be read");
            return Ok(None);
        }
    };
    let bytes = match fetched.body {
        Body::Inline(bytes) => bytes,
        Body::Blob => content.blob(fetched.sha256).await?,
    };
    let config: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(config["ogflow"].as_str().and_then(TaskKey::parse))
}
