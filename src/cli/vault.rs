//! `ogflow vault`: the balance that pays for tasks. A deposit goes through the same journaled
//! slot as a publication, so a crash never moves money twice.

mod reclaim;

use std::path::PathBuf;
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use serde_json::json;

use super::args::{KnobArgs, VaultArgs, VaultCommand};
use super::connect::{Connection, Purpose};
use super::errand::Errand;
use super::errors::of_chain;
use super::failure::{Exit, Failure};
use super::place::StatePlace;
use super::question::{self, Spending};
use super::settings::{Settings, SignerChoice};
use super::{devnet, help, select};
use crate::chain::{Chain, ChainFacts, SurveyRequest};
use crate::driver::Begin;
use crate::pipeline::Code;
use crate::report::layout::Coin;
use crate::store::LaneKey;
use crate::units::{Call, Wei};

/// Room above the estimated gas, in thousandths: prices move while a question is read.
const GAS_ROOM: u32 = 500;

/// Shows or fills the vault, or takes back what is stuck.
///
/// # Errors
/// When the network cannot be read, the money is short, or the reader says no.
pub fn vault(args: &VaultArgs, settings: &Settings) -> Result<Exit, Failure> {
    match &args.command {
        VaultCommand::Status => super::runtime()?.block_on(status(settings)),
        VaultCommand::Deposit { amount, account, yes, max_spend, password_file } => {
            let order = Order {
                amount: written_amount(amount)?,
                account: account.as_deref().map(written_account).transpose()?,
                yes: *yes,
                max_spend: *max_spend,
                password_file: password_file.as_ref(),
            };
            super::runtime()?.block_on(deposit(settings, order))
        }
        VaultCommand::Reclaim { yes, password_file } => {
            let order = ReclaimOrder { yes: *yes, password_file: password_file.as_ref() };
            super::runtime()?.block_on(reclaim::reclaim(settings, order))
        }
        VaultCommand::Other(words) => Err(help::no_subcommand("vault", words, &["withdraw"])),
    }
}

/// A reclaim as it was asked for.
struct ReclaimOrder<'a> {
    yes: bool,
    password_file: Option<&'a PathBuf>,
}

/// A deposit as it was asked for.
struct Order<'a> {
    amount: Wei,
    account: Option<Address>,
    yes: bool,
    max_spend: Option<Wei>,
    password_file: Option<&'a PathBuf>,
}

fn written_amount(words: &[String]) -> Result<Wei, Failure> {
    let text = words.join(" ");
    let amount =
        Wei::parse(&text).map_err(|error| Failure::of(Exit::Usage, &error).help(error.hint()))?;
    if amount.is_zero() {
        return Err(Failure::usage("nothing would be deposited").help("write an amount above 0"));
    }
    Ok(amount)
}

fn written_account(text: &str) -> Result<Address, Failure> {
    Address::parse_checksummed(text, None)
        .or_else(|error| {
            let one_case = text
                .strip_prefix("0x")
                .is_some_and(|hex| hex == hex.to_lowercase() || hex == hex.to_uppercase());
            if one_case { text.parse().map_err(|_| error) } else { Err(error) }
        })
        .map_err(|_| {
            Failure::usage(format!("`{text}` is not an address, or its checksum is wrong"))
        })
}

async fn status(settings: &Settings) -> Result<Exit, Failure> {
    let knobs = devnet::knobs(&KnobArgs::default(), settings)?;
    let connection = Connection::open(settings, Purpose::Look, &knobs, None)?;
    let network = &connection.network;
    let account = connection.signer.ok_or_else(|| SignerChoice::missing(network))?;
    let chain = connection.chain.as_ref();
    chain.guard().await.map_err(|error| of_chain(&error))?;
    let vault = chain.vault_of(account).await.map_err(|error| of_chain(&error))?;
    let wallet = chain.wallet_of(account).await.map_err(|error| of_chain(&error))?;
    if let Some(fields) = &settings.json {
        let document = json!({
            "network": network.name,
            "chain_id": network.chain_id,
            "account": account.to_string(),
            "origin": connection.origin,
            "vault_free_wei": vault.balance,
            "vault_locked_wei": vault.frozen,
            "wallet_wei": wallet.balance,
        });
        settings.ui.data(&format!("{}\n", select::fields(document, fields)?))?;
        return Ok(Exit::Done);
    }
    let coin = Coin::of(network);
    settings.ui.out(&format!(
        "{account} ({})\non {} (chain {})\n\n{}\n{}\n{}",
        connection.origin,
        network.name,
        network.chain_id,
        coin.line(format!(" vault free    {}", coin.exact(vault.balance))),
        coin.line(format!(" vault locked  {}", coin.exact(vault.frozen))),
        coin.line(format!(" wallet        {}", coin.exact(wallet.balance))),
    ))?;
    Ok(Exit::Done)
}

async fn deposit(settings: &Settings, order: Order<'_>) -> Result<Exit, Failure> {
    let knobs = devnet::knobs(&KnobArgs::default(), settings)?;
    let connection = Connection::open(settings, Purpose::Act, &knobs, order.password_file)?;
    let network = Arc::clone(&connection.network);
    let signer = connection.signer.ok_or_else(|| SignerChoice::missing(&network))?;
    let account = order.account.unwrap_or(signer);
    let chain = connection.chain.as_ref();
    let found = chain.guard().await.map_err(|error| of_chain(&error))?;
    let wallet = chain.wallet_of(signer).await.map_err(|error| of_chain(&error))?.balance;
    enough(&connection, signer, wallet, order.amount)?;
    let gas = gas(&connection, signer, account, order.amount).await?;
    let needed = order.amount.saturating_add(gas);
    enough(&connection, signer, wallet, needed)?;
    allowed(&connection, &order, needed)?;
    let vault = chain.vault_of(account).await.map_err(|error| of_chain(&error))?.balance;
    show(settings, &connection, &order, (vault, wallet, gas));
    ask(settings, &connection, &order, account != signer)?;
    let ordered = Ordered { order: &order, signer, account, found };
    let hash = ordered.send(settings, &connection).await?;
    done(settings, &connection, account, hash).await
}

/// Whether the wallet has what the deposit needs.
fn enough(
    connection: &Connection,
    signer: Address,
    wallet: Wei,
    needed: Wei,
) -> Result<(), Failure> {
    if wallet >= needed {
        return Ok(());
    }
    let coin = Coin::of(&connection.network);
    let message = format!(
        "the wallet has {}, and the deposit needs {} and gas",
        coin.exact(wallet),
        coin.rounded(needed)
    );
    Err(Failure::new(Exit::Funds, message)
        .coded(Code::E0812)
        .help(format!("send {} to {signer}", coin.rounded(needed.saturating_sub(wallet)))))
}

/// Whether `--max-spend` covers the deposit and its gas.
fn allowed(connection: &Connection, order: &Order<'_>, needed: Wei) -> Result<(), Failure> {
    let Some(cap) = order.max_spend.filter(|cap| *cap < needed) else { return Ok(()) };
    let coin = Coin::of(&connection.network);
    let message = format!(
        "the deposit and its gas may take {}, more than `--max-spend` of {}",
        coin.exact(needed),
        coin.exact(cap)
    );
    Err(Failure::new(Exit::Budget, message)
        .coded(Code::E0821)
        .help(format!("raise `--max-spend` to at least {}, or deposit less", coin.exact(needed))))
}

/// A deposit that the reader said yes to.
struct Ordered<'a> {
    order: &'a Order<'a>,
    signer: Address,
    account: Address,
    found: ChainFacts,
}

impl Ordered<'_> {
    /// Sends it through a run of its own, and gives the transaction once it is final.
    async fn send(self, settings: &Settings, connection: &Connection) -> Result<B256, Failure> {
        let Self { order, signer, account, found } = self;
        let state = StatePlace::open(settings)?;
        let chain_id = connection.network.chain_id;
        let lane = LaneKey { chain_id, genesis: found.genesis, wallet: signer };
        let lock = state.lock_wallet(settings, connection, &lane)?;
        let errand = Errand { settings, connection, state: &state, signer, found: &found };
        let begin = |header| Begin::Deposit { header, account, amount: order.amount };
        let (run, finish, history) =
            errand.carry_out(account, order.max_spend, lock, begin).await?;
        history.deposit().ok_or_else(|| {
            Failure::new(super::conduct::exit_of(finish.outcome), "the deposit is not final")
                .help(format!("ogflow resume {run} goes on with it"))
        })
    }
}

/// What the deposit may cost in gas: at least as much as a run asks for before it signs one.
async fn gas(
    connection: &Connection,
    signer: Address,
    account: Address,
    amount: Wei,
) -> Result<Wei, Failure> {
    let chain = connection.chain.as_ref();
    let request = SurveyRequest { wallet: Some(signer), ..SurveyRequest::default() };
    let survey = chain.survey(request).await.map_err(|error| of_chain(&error))?;
    let call = Call::Deposit { account, amount };
    let units = chain.estimate(signer, call).await.map_err(|error| of_chain(&error))?;
    let gas = survey.max_fee_per_gas.saturating_mul(units);
    let least = survey.max_fee_per_gas.saturating_mul(survey.confirm_gas);
    Ok(gas.raised_by_permille(GAS_ROOM).unwrap_or(gas).max(least))
}

/// What there is before and after.
fn show(
    settings: &Settings,
    connection: &Connection,
    order: &Order<'_>,
    (vault, wallet, gas): (Wei, Wei, Wei),
) {
    let coin = Coin::of(&connection.network);
    let places = |amount: Wei| amount.coins_rounded(4);
    let after = wallet.saturating_sub(order.amount).saturating_sub(gas);
    let line = |name: &str, before: Wei, after: Wei| {
        format!(" {name:<12} {} → {} {}", places(before), places(after), coin.symbol())
    };
    let ui = &settings.ui;
    ui.talk(&coin.line(line("vault free", vault, vault.saturating_add(order.amount))));
    let gas = format!("   (gas at most {})", places(gas));
    ui.talk(&coin.line(line("wallet", wallet, after) + &gas));
}

fn ask(
    settings: &Settings,
    connection: &Connection,
    order: &Order<'_>,
    for_another: bool,
) -> Result<(), Failure> {
    let network = &connection.network;
    let whose = if for_another { " for another account: it cannot be taken back" } else { "" };
    if for_another && !order.yes && !network.devnet {
        settings.ui.warn("this deposit is for another account: it cannot be taken back");
    }
    let amount = format!("{} {}", order.amount.coins(), network.symbol);
    question::spend(
        settings,
        &Spending {
            network,
            what: format!("Deposit {amount} on {}{whose}.", network.name),
            most: Some(order.amount),
            verb: "deposit",
            name: "vault deposit",
            capped: order.max_spend.is_some(),
            yes: order.yes,
        },
    )
}

/// The hash on stdout, the balances on stderr.
async fn done(
    settings: &Settings,
    connection: &Connection,
    account: Address,
    hash: B256,
) -> Result<Exit, Failure> {
    let network = &connection.network;
    match &settings.json {
        Some(fields) => {
            let document = json!({"tx": hash.to_string(), "account": account.to_string()});
            settings.ui.data(&format!("{}\n", select::fields(document, fields)?))?;
        }
        None => settings.ui.out(&hash.to_string())?,
    }
    if let Some(link) = network.tx_link(&hash) {
        settings.ui.talk(&link);
    }
    let vault = connection.chain.vault_of(account).await.map_err(|error| of_chain(&error))?;
    let coin = Coin::of(network);
    settings.ui.talk(&coin.line(format!("vault free {}", coin.exact(vault.balance))));
    Ok(Exit::Done)
}
