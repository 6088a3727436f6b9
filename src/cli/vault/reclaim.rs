//! `ogflow vault reclaim`: payments of expired tasks that are still frozen. The one call that a
//! client has is to cancel a task, so that is tried for each without sending it, and only what
//! would pass is sent.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use serde_json::json;

use super::super::args::KnobArgs;
use super::super::connect::{Connection, Purpose};
use super::super::errors::{of_chain, of_store};
use super::super::failure::{Exit, Failure};
use super::super::place::{self, StatePlace};
use super::super::settings::{Settings, SignerChoice};
use super::super::table::Table;
use super::super::{conduct, devnet, question, select};
use super::{Errand, ReclaimOrder};
use crate::chain::{Chain, ChainError, ChainFacts, SurveyRequest};
use crate::driver::Begin;
use crate::engine::{Event, Outcome, RunHeader, RunOutcome, Stale};
use crate::report::layout::Coin;
use crate::report::{Fact, Tally};
use crate::store::{LaneKey, Views};
use crate::units::text::counted;
use crate::units::{Call, ChainTime, TaskId, TaskStatus, Untrusted, Wei};

/// A task of an ended round whose payment nobody has been paid.
struct Ended {
    label: String,
    address: Address,
    payment: Wei,
    payer: Address,
    expiry: ChainTime,
}

/// What trying to take a payment back has shown.
enum Way {
    /// The call would pass, with this much gas.
    Back(u64),
    /// The contracts refuse it.
    None(String),
}

/// Takes back what can be taken back.
///
/// # Errors
/// When the chain or the journal cannot be read, the wallet is in use, or the reader says no.
pub(super) async fn reclaim(settings: &Settings, order: ReclaimOrder<'_>) -> Result<Exit, Failure> {
    let knobs = devnet::knobs(&KnobArgs::default(), settings)?;
    let connection = Connection::open(settings, Purpose::Act, &knobs, order.password_file)?;
    let network = &connection.network;
    let signer = connection.signer.ok_or_else(|| SignerChoice::missing(network))?;
    let found = connection.chain.guard().await.map_err(|error| of_chain(&error))?;
    let lane = LaneKey { chain_id: network.chain_id, genesis: found.genesis, wallet: signer };
    let Some((views, _)) = place::views(settings)? else { return nothing(settings) };
    let state = StatePlace::open(settings)?;
    // From here on nothing of this wallet changes but by us.
    let lock = state.lock_wallet(settings, &connection, &lane)?;
    let ended = ended(&views, &lane)?;
    drop(views);
    let tried = tried(&connection, (signer, &found), ended).await?;
    if tried.is_empty() {
        return nothing(settings);
    }
    let coin = Coin::of(network);
    table(settings, &coin, &tried);
    let (stale, payments) = passing(&tried);
    if stale.is_empty() {
        settings.ui.say(
            "Nothing can be taken back now: the contracts have no call for it that a client may \
             make. A payment comes back when a provider touches the expired task, if then.",
        );
        return Ok(Exit::Done);
    }
    let gas = gas(&connection, &stale).await?;
    ask(settings, &connection, order.yes, (stale.len(), payments, gas))?;
    let payers: BTreeSet<Address> = tried.iter().map(|(ended, _)| ended.payer).collect();
    let before = free(&connection, &payers).await?;
    let errand = Errand { settings, connection: &connection, state: &state, signer, found: &found };
    let tasks = stale.clone();
    let begin = move |mut header: Box<RunHeader>| {
        header.pipeline = "vault-reclaim".into();
        Begin::Reclaim { header, tasks }
    };
    let (run, finish, history) = errand.carry_out(signer, None, lock, begin).await?;
    let taken = history.taken_back();
    print(settings, taken)?;
    let returned = free(&connection, &payers).await?.saturating_sub(before);
    settings.ui.talk(&coin.line(format!(
        " {} of {} taken back, {} back in the vault (checked)",
        taken.len(),
        stale.len(),
        coin.exact(returned)
    )));
    match finish.outcome {
        RunOutcome::Done => Ok(Exit::Done),
        RunOutcome::Failed => Ok(Exit::Failures),
        other @ (RunOutcome::OverBudget
        | RunOutcome::PausedBudget
        | RunOutcome::PausedFunds
        | RunOutcome::Stopped
        | RunOutcome::Canceled
        | RunOutcome::Quarantined) => {
            Err(Failure::new(conduct::exit_of(other), "not all is final")
                .help(format!("ogflow resume {run} goes on with it")))
        }
    }
}

fn nothing(settings: &Settings) -> Result<Exit, Failure> {
    settings.ui.say("Nothing to take back: no expired task of this wallet here is unpaid.");
    Ok(Exit::Done)
}

/// The published tasks of all rounds that have ended without a payment, of all runs of a wallet.
fn ended(views: &Views, lane: &LaneKey) -> Result<Vec<Ended>, Failure> {
    let mut all = Vec::new();
    for row in views.runs().map_err(|error| of_store(&error))? {
        let header = views.header(&row.run).map_err(|error| of_store(&error))?;
        if LaneKey::of(&header) != *lane {
            continue;
        }
        let mut tally = Tally::new();
        let mut open: BTreeMap<TaskId, Address> = BTreeMap::new();
        for recorded in views.events(&row.run, 0).map_err(|error| of_store(&error))? {
            let recorded = recorded.map_err(|error| of_store(&error))?;
            if let Event::TaskPublished { task, address, .. } = &recorded.event {
                open.insert(*task, *address);
            }
            if let Event::TaskAdopted { task, publication, .. } = &recorded.event {
                open.insert(*task, publication.address);
            }
            if let Some((id, unpaid)) = round_end(&recorded.event)
                && let Some(address) = open.remove(&id).filter(|_| unpaid)
                && let Some(task) = tally.task(id)
                && let Some(expiry) = task.expiry
            {
                let (label, payment) = (tally.label(id), task.payment);
                all.push(Ended { label, address, payment, payer: header.payer, expiry });
            }
            tally.apply(Fact { at: recorded.at, event: &recorded.event });
        }
    }
    Ok(all)
}

/// The task whose round ends with this fact, and whether nobody was paid for it.
const fn round_end(event: &Event) -> Option<(TaskId, bool)> {
    if let Event::RoundOpened { task, .. } = event {
        return Some((*task, true));
    }
    if let Event::TaskDone { task, outcome } = event {
        return Some((*task, matches!(outcome, Outcome::Failed(_))));
    }
    None
}

/// Those that are past their expiry and not settled on the chain, each tried without sending.
async fn tried(
    connection: &Connection,
    (signer, found): (Address, &ChainFacts),
    mut ended: Vec<Ended>,
) -> Result<Vec<(Ended, Way)>, Failure> {
    let chain = connection.chain.as_ref();
    ended.retain(|task| task.expiry < found.head_time);
    let addresses = ended.iter().map(|task| task.address).collect();
    let facts = chain.read_tasks(addresses, found.head).await.map_err(|error| of_chain(&error))?;
    let mut frozen = Wei::ZERO;
    for payer in ended.iter().map(|task| task.payer).collect::<BTreeSet<_>>() {
        let vault = chain.vault_of(payer).await.map_err(|error| of_chain(&error))?;
        frozen = frozen.saturating_add(vault.frozen);
    }
    let mut tried = Vec::new();
    for (task, facts) in ended.into_iter().zip(facts) {
        let settled = match facts.map(|facts| facts.status) {
            Some(TaskStatus::Canceled | TaskStatus::Finalized) | None => true,
            // The contract gave it back when it noticed, unless the vault still holds as much.
            Some(TaskStatus::Expired) => frozen < task.payment,
            Some(
                TaskStatus::New
                | TaskStatus::Attempted
                | TaskStatus::Responded
                | TaskStatus::Unknown(_),
            ) => false,
        };
        if settled {
            continue;
        }
        frozen = frozen.saturating_sub(task.payment);
        let way = match chain.estimate(signer, Call::CancelTask { task: task.address }).await {
            Ok(gas) => Way::Back(gas),
            Err(ChainError::Reverted { reason, .. }) => Way::None(reason.to_string()),
            Err(error) => return Err(of_chain(&error)),
        };
        tried.push((task, way));
    }
    Ok(tried)
}

fn table(settings: &Settings, coin: &Coin, tried: &[(Ended, Way)]) {
    let mut table = Table::new(&["TASK", "CONTRACT", ">PAYMENT", "WAY BACK"]);
    for (task, way) in tried {
        let how = match way {
            Way::Back(_) => "can be taken back".to_owned(),
            Way::None(why) => format!("refused to a client: {}", Untrusted::from(why.as_str())),
        };
        let payment = coin.line(coin.exact(task.payment));
        table.row(vec![task.label.clone(), task.address.to_string(), payment, how]);
    }
    settings.ui.talk(&table.draw(&settings.ui));
}

/// What would pass, with room in its gas, and what comes back with it.
fn passing(tried: &[(Ended, Way)]) -> (Vec<Stale>, Wei) {
    let mut stale = Vec::new();
    let mut payments = Wei::ZERO;
    for (task, way) in tried {
        if let Way::Back(gas) = way {
            stale.push(Stale { task: task.address, gas_limit: gas.saturating_add(gas / 4) });
            payments = payments.saturating_add(task.payment);
        }
    }
    (stale, payments)
}

async fn gas(connection: &Connection, stale: &[Stale]) -> Result<Wei, Failure> {
    let request = SurveyRequest { wallet: connection.signer, ..SurveyRequest::default() };
    let survey = connection.chain.survey(request).await.map_err(|error| of_chain(&error))?;
    let limits = stale.iter().map(|stale| survey.max_fee_per_gas.saturating_mul(stale.gas_limit));
    Ok(limits.fold(Wei::ZERO, Wei::saturating_add))
}

/// Money comes back, so it is a yes or no, with real money and without; on a devnet not even that.
fn ask(
    settings: &Settings,
    connection: &Connection,
    yes: bool,
    (count, payments, gas): (usize, Wei, Wei),
) -> Result<(), Failure> {
    if yes || connection.network.devnet {
        return Ok(());
    }
    let coin = Coin::of(&connection.network);
    let question = format!(
        "Cancel {} and get {} back to the vault, for gas of at most {}?",
        counted(count, "expired task"),
        coin.exact(payments),
        coin.rounded(gas)
    );
    match question::yes(settings, &question, "--yes")? {
        true => Ok(()),
        false => Err(question::declined()),
    }
}

/// What is free in these vaults together.
async fn free(connection: &Connection, payers: &BTreeSet<Address>) -> Result<Wei, Failure> {
    let mut free = Wei::ZERO;
    for payer in payers {
        let vault = connection.chain.vault_of(*payer).await.map_err(|error| of_chain(&error))?;
        free = free.saturating_add(vault.balance);
    }
    Ok(free)
}

fn print(settings: &Settings, taken: &[B256]) -> Result<(), Failure> {
    match &settings.json {
        Some(fields) => {
            let hashes: Vec<String> = taken.iter().map(ToString::to_string).collect();
            let document = select::fields(json!({"tx": hashes}), fields)?;
            settings.ui.data(&format!("{document}\n"))
        }
        None => taken.iter().try_for_each(|hash| settings.ui.out(&hash.to_string())),
    }
}
