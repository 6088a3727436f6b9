//! `ogflow resume --from-chain`: a run whose journal is lost, or an old copy, goes on from what the
//! chain knows of it (safety.md, section 6).
//!
//! First a fence: transfers of nothing take every nonce at which something unknown could still be
//! mined. Then all that the wallet published is final and can be read, and what carries the run's
//! tags is adopted. Only then does the run go on. Stopped anywhere, it can be asked for again.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::Address;
use futures::StreamExt;

use super::super::args::{ResumeArgs, RunArgs};
use super::super::connect::{Connection, Purpose};
use super::super::errand::Errand;
use super::super::errors::{of_chain, of_store};
use super::super::failure::{Exit, Failure};
use super::super::place::{self, StatePlace};
use super::super::prepare::{self, Opened, Wanted};
use super::super::question::{self, Spending};
use super::super::settings::{Settings, SignerChoice};
use super::super::{conduct, devnet, file, run, runs};
use super::left::Left;
use super::{Again, edited, go, other_network, over, read_history};
use crate::chain::{Chain, SurveyRequest};
use crate::content::{Body, Content, ContentError, NetworkContent};
use crate::driver::{Begin, ChainRead, Consent};
use crate::engine::{Found, RunHeader, RunOutcome, Wishes};
use crate::pipeline::Code;
use crate::store::{LaneKey, Views, WalletLock};
use crate::units::text::counted;
use crate::units::{Nonce, PastPublication, RunId, TaskKey, Wei};

/// The gas of a transfer of nothing.
const FENCE_GAS: u64 = 21_000;
/// Room above what the transfers would cost now, in thousandths: prices move.
const FENCE_ROOM: u32 = 500;
/// What a run is called that sets a fence.
const FENCE: &str = "lane-fence";
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
    let Some(text) = &args.run else {
        // A fence that was stopped is no run that somebody means.
        let rows = views.runs().map_err(|error| of_store(&error))?;
        for row in rows.into_iter().filter(|row| row.state.is_unfinished()) {
            let header = views.header(&row.run).map_err(|error| of_store(&error))?;
            if !header.steps.is_empty() {
                return Ok(Some(row.run));
            }
        }
        return Ok(None);
    };
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
        args,
    };
    let lane = reading.lane;
    let lock = state.lock_wallet(settings, &connection, &lane)?;
    let (read, lock) = reading.read(lock).await?;
    let left = Left::of(settings, lane, &read);
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
    let exit = go(settings, connection, state, lock, again).await?;
    left.tell()?;
    Ok(exit)
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
        args,
    };
    let (read, lock) = reading.read(lock).await?;
    if read.found.is_empty() {
        let message = format!("wallet {} has published nothing of run {run}", lane.wallet);
        return Err(Failure::usage(message)
            .help("is that its id, its network and its key? `ogflow run` starts a run"));
    }
    let left = Left::of(settings, lane, &read);
    let exit =
        run::recovered(settings, &again, &wanted, (opened, state, lock), (run, read)).await?;
    left.tell()?;
    Ok(exit)
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
    args: &'a ResumeArgs,
}

impl Reading<'_> {
    /// Sets the fence, and reads all that is below it.
    async fn read(&self, lock: WalletLock) -> Result<(ChainRead, WalletLock), Failure> {
        // No more than this was ever in a pool at once.
        let window = self.connection.network.window;
        let most = self.ask(window).await?;
        self.fence(lock, (window, most)).await?;
        let lock = self.state.lock_wallet(self.settings, self.connection, &self.lane)?;
        let (publications, below) = self.publications().await?;
        let found = self.found(publications).await?;
        Ok((ChainRead { found, below }, lock))
    }

    fn views(&self) -> Result<Views, Failure> {
        let views = Views::open(&self.state.folder).map_err(|error| of_store(&error))?;
        views.ok_or_else(|| runs::none(self.settings))
    }

    /// Says what it will do, and asks; gives the most that it may cost.
    async fn ask(&self, window: u32) -> Result<Wei, Failure> {
        let chain = self.connection.chain.as_ref();
        let request = SurveyRequest { wallet: Some(self.lane.wallet), ..SurveyRequest::default() };
        let survey = chain.survey(request).await.map_err(|error| of_chain(&error))?;
        let each = survey.max_fee_per_gas.saturating_mul(FENCE_GAS);
        let most = each.saturating_mul(u64::from(window));
        let most = most.raised_by_permille(FENCE_ROOM).unwrap_or(most);
        let network = &self.connection.network;
        let nonces = counted(window, "nonce");
        self.settings.ui.say(&format!(
            "Reading what wallet {} did for run {} on {}.\nFirst {nonces} are used up by transfers \
             of nothing, so that nothing unknown can be mined later. They cost gas alone.",
            self.lane.wallet, self.run, network.name
        ));
        let shown = question::shown_amount(most);
        let spending = Spending {
            network,
            what: format!("Use up {nonces}: {shown} {} of gas at most.", network.symbol),
            most: Some(most),
            verb: "spend up to",
            name: self.run.as_str(),
            capped: self.args.max_spend.is_some(),
            yes: self.args.yes,
        };
        question::spend(self.settings, &spending)?;
        Ok(most)
    }

    /// Sets a fence, or goes on with one that was stopped.
    async fn fence(&self, lock: WalletLock, (window, most): (u32, Wei)) -> Result<(), Failure> {
        let network = &self.connection.network;
        let signer = self.connection.signer.ok_or_else(|| SignerChoice::missing(network))?;
        let found = self.connection.chain.guard().await.map_err(|error| of_chain(&error))?;
        let (settings, connection, state) = (self.settings, self.connection, self.state);
        let errand = Errand { settings, connection, state, signer, found: &found };
        let consent =
            Consent { take_over: self.args.take_over, code: self.args.accept_code.clone() };
        let finish = match self.stopped_fence()? {
            Some((header, spent)) => {
                let (run, wishes) = (header.run.clone(), Wishes::default());
                let cap = Some(Some(spent.saturating_add(most)));
                let begin = Begin::Resume { run, cap, wishes, consent };
                errand.conducted(header, lock, begin).await?.0
            }
            None => {
                let begin = |mut header: Box<RunHeader>| {
                    header.pipeline = FENCE.into();
                    Begin::Fence { header, window, consent }
                };
                errand.carry_out(signer, Some(most), lock, begin).await?.1
            }
        };
        let help = match finish.outcome {
            RunOutcome::Done => return Ok(()),
            RunOutcome::PausedFunds => {
                format!("send coins for gas to {signer}; then the same command goes on")
            }
            RunOutcome::PausedBudget => "gas is dearer now: the same command asks for more".into(),
            RunOutcome::Failed
            | RunOutcome::OverBudget
            | RunOutcome::Stopped
            | RunOutcome::Canceled
            | RunOutcome::Quarantined => "the same command goes on".into(),
        };
        let exit = conduct::exit_of(finish.outcome);
        Err(Failure::new(exit, "not all of these nonces are used up for good").help(help))
    }

    /// A fence of this lane that is not over, and what it has cost.
    fn stopped_fence(&self) -> Result<Option<(Box<RunHeader>, Wei)>, Failure> {
        let Some(views) = Views::open(&self.state.folder).map_err(|error| of_store(&error))? else {
            return Ok(None);
        };
        let rows = views.runs().map_err(|error| of_store(&error))?;
        for row in rows.iter().filter(|row| row.state.is_unfinished() && row.pipeline == FENCE) {
            let header = views.header(&row.run).map_err(|error| of_store(&error))?;
            if LaneKey::of(&header) == self.lane {
                let spent = read_history(&views, &row.run)?.tally().money().gas;
                return Ok(Some((header, spent)));
            }
        }
        Ok(None)
    }

    /// The publications of the wallet, once the node has come as far as the fence.
    async fn publications(&self) -> Result<(Vec<PastPublication>, Nonce), Failure> {
        let lane = self.views()?.lane(&self.lane, self.run).map_err(|error| of_store(&error))?;
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

    /// Which of these are of the run: by the journal where it knows them, else by their tags, else
    /// perhaps by their configs.
    async fn found(&self, publications: Vec<PastPublication>) -> Result<Vec<Found>, Failure> {
        let known = self.views()?.publications(&self.lane).map_err(|error| of_store(&error))?;
        let content = self.connection.content(None, self.state.blobs.clone())?;
        let prefix = TaskKey::run_prefix(self.run);
        let (known, content) = (&known, &content);
        let reads = publications.into_iter().map(|publication| async move {
            let tag = match known.get(&publication.tx_hash) {
                Some(key) => Ok(Some(*key)),
                None => tag(content, &publication.config).await,
            };
            (publication, tag)
        });
        let mut reads = futures::stream::iter(reads).buffered(READS);
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        let (mut own, mut others) = (0_usize, 0_usize);
        while let Some((publication, tag)) = reads.next().await {
            let key = tag.unwrap_or_else(|error| {
                unreadable.push((publication.address, error));
                None
            });
            let unknown = !known.contains_key(&publication.tx_hash);
            if key.is_none_or(|key| key.0.starts_with(&prefix)) {
                own += usize::from(unknown && key.is_some());
                found.push(Found { key, publication });
            } else {
                others += usize::from(unknown);
            }
        }
        self.all_readable(&unreadable)?;
        let plain = found.iter().filter(|found| found.key.is_none()).count();
        self.tell((own, plain, others));
        Ok(found)
    }

    /// What cannot be read may be of this run: publishing on would pay for it again.
    fn all_readable(&self, unreadable: &[(Address, ContentError)]) -> Result<(), Failure> {
        let Some((task, error)) = unreadable.first().filter(|_| !self.args.skip_unreadable) else {
            return Ok(());
        };
        let count = counted(unreadable.len(), "config");
        let message = format!(
            "{count} of what the wallet published cannot be read, the one of task {task} among them: \
             {error}"
        );
        let help = "nothing was published; try again, or leave out with `--since-block NUMBER` what \
                    is older than the run; `--skip-unreadable` says that they are not of this run";
        Err(Failure::new(Exit::Unreachable, message).coded(Code::E0903).help(help))
    }

    fn tell(&self, (own, plain, others): (usize, usize, usize)) {
        let (wallet, run) = (self.lane.wallet, self.run);
        let total = counted(own + plain + others, "publication");
        let mut lines = vec![format!(
            "{total} of wallet {wallet} that this journal does not know: {own} of run {run}"
        )];
        if plain > 0 {
            lines.push(format!("{plain} without a tag: adopted where the config is the same"));
        }
        if others > 0 {
            lines.push(format!("{others} of other runs: left alone"));
        }
        if own + plain > 0 {
            lines.push("What is found is adopted by its task, and not published again.".into());
        }
        self.settings.ui.say(&lines.join("\n"));
    }
}

/// The tag of a config; `None` if it has none.
async fn tag(content: &NetworkContent, url: &str) -> Result<Option<TaskKey>, ContentError> {
    let fetched = content.fetch(url).await?;
    let bytes = match fetched.body {
        Body::Inline(bytes) => bytes,
        Body::Blob => content.blob(fetched.sha256).await?,
    };
    let config: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(config["ogflow"].as_str().and_then(TaskKey::parse))
}
