//! A plan as people read it: a table for terminals, another for Markdown.

use super::layout::{Align, Coin, Columns, Look, cell, count, short, span};
use super::notices::clean;
use crate::plan::{
    ItemsOf, PayerKind, PlanSummary, Range, Shortfall, SourceSummary, StepSummary, WeiRange,
};
use crate::units::source::Delivery;
use crate::units::text::{counted, thousands};

/// The plan for a terminal or a pipe, line by line.
pub fn table(plan: &PlanSummary, look: Look) -> Vec<String> {
    use Align::{Left, Right};
    let mut columns = Columns::new(&[Left, Left, Right, Right, Right, Right, Right]);
    rows(plan).into_iter().for_each(|row| columns.row(row));
    let mut lines = head(plan);
    lines.push(String::new());
    lines.extend(columns.lines());
    for block in [extremes(plan), funds(plan), remarks(plan)] {
        if !block.is_empty() {
            lines.push(String::new());
            lines.extend(block);
        }
    }
    lines.extend([String::new(), verdict(plan)]);
    lines.into_iter().map(|line| look.text(line).into_owned()).collect()
}

/// The plan as Markdown, for a pull request or a ticket.
pub fn markdown(plan: &PlanSummary) -> Vec<String> {
    let mut lines = vec![format!("## Plan of `{}`", clean(&plan.pipeline.name)), String::new()];
    lines.extend(head(plan).into_iter().map(|line| format!("{}  ", plain(line.trim()))));
    lines.push(String::new());
    for (place, row) in rows(plan).into_iter().enumerate() {
        lines.push(format!("| {} |", row.map(|cell| plain(&cell)).join(" | ")));
        if place == 0 {
            lines.push("|---|---|--:|--:|--:|--:|--:|".into());
        }
    }
    for block in [extremes(plan), funds(plan), remarks(plan)] {
        if !block.is_empty() {
            lines.push(String::new());
            lines.extend(block.iter().map(|line| format!("- {}", plain(&squeeze(line)))));
        }
    }
    lines.extend([String::new(), format!("**{}**", plain(&verdict(plan)))]);
    lines
}

/// What to type next.
pub fn next(plan: &PlanSummary) -> String {
    let short = plan.vault.as_ref().map(|vault| vault.short).filter(|short| !short.is_zero());
    let network = match plan.network.name.as_str() {
        "devnet" => String::new(),
        name => format!(" --network {name}"),
    };
    match short {
        Some(short) => format!("ogflow vault deposit {} OGPU{network}", short.coins()),
        None => format!("ogflow run {}{network}", plan.pipeline.file),
    }
}

fn coin(plan: &PlanSummary) -> Coin {
    Coin::new(&plan.network.symbol, plan.network.devnet)
}

fn head(plan: &PlanSummary) -> Vec<String> {
    let network = &plan.network;
    let block = network.block.map(|block| format!(", block {}", thousands(block)));
    let money = match (network.devnet, network.real_money) {
        (true, _) => "play money",
        (false, true) => "real money",
        (false, false) => "test money",
    };
    let signer = plan.signer.as_ref().map_or_else(
        || "no signer: set one before `ogflow run`".to_owned(),
        |signer| format!("signer {} ({})", short(&signer.address), clean(&signer.origin)),
    );
    let payer = plan.payer.as_ref().map_or_else(String::new, |payer| {
        let whose = match payer.kind {
            PayerKind::Signer => "the signer's vault",
            PayerKind::SourceOwner => "the vault of the source's owner",
        };
        format!("   payer {}: {whose}", short(&payer.address))
    });
    vec![
        format!(
            "{}  on {} (chain {}{})  {money}",
            clean(&plan.pipeline.name),
            network.name,
            network.chain_id,
            block.unwrap_or_default()
        ),
        format!("{signer}{payer}"),
    ]
}

fn rows(plan: &PlanSummary) -> Vec<[String; 7]> {
    let most = format!("AT MOST {}", plan.network.symbol);
    let heads = ["STEP", "ITEMS", "REUSED", "TO PUBLISH", "PAYMENT", "GAS (est.)", &most];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(plan.steps.iter().map(step));
    let totals = &plan.totals;
    rows.push([
        "TOTAL".into(),
        String::new(),
        count(totals.reused),
        numbers(totals.publish),
        amounts(totals.payment),
        amounts(totals.gas_expected),
        amounts(totals.total),
    ]);
    rows
}

fn step(step: &StepSummary) -> [String; 7] {
    let items = match (&step.known_after, step.of) {
        (Some(after), _) => format!("known after {after}"),
        (None, ItemsOf::Once) => "1".into(),
        (None, ItemsOf::Rows) => numbered(step.items, "row"),
        (None, ItemsOf::Files) => numbered(step.items, "file"),
        (None, ItemsOf::Entries) => numbered(step.items, "item"),
        (None, ItemsOf::Results) => numbered(step.items, "result"),
    };
    [
        step.name.to_string(),
        items,
        count(step.reused),
        numbers(step.publish),
        amounts(step.payment),
        amounts(step.gas_expected),
        amounts(step.total),
    ]
}

fn numbers(range: Range) -> String {
    match range.max {
        Some(max) if max == range.min => thousands(max),
        Some(max) => format!("{} – {}", thousands(range.min), thousands(max)),
        None => format!("{} – unbounded", thousands(range.min)),
    }
}

/// A range of things in the plural, unless it is exactly one.
fn numbered(range: Range, noun: &str) -> String {
    match range.max {
        Some(max) if max == range.min => counted(max, noun),
        Some(_) | None => format!("{} {noun}s", numbers(range)),
    }
}

/// How many tasks, within a sentence: `1 task`, `602 to 621 tasks`, `2 tasks or more`.
pub fn tasks(range: Range) -> String {
    match range.max {
        Some(max) if max == range.min => counted(max, "task"),
        Some(max) => format!("{} to {}", thousands(range.min), counted(max, "task")),
        None => format!("{} or more", counted(range.min, "task")),
    }
}

fn amounts(range: WeiRange) -> String {
    match range.max {
        Some(max) if max == range.min => cell(max),
        Some(max) => format!("{} – {}", cell(range.min), cell(max)),
        None => format!("{} – unbounded", cell(range.min)),
    }
}

/// The largest figures: with all retries, locked at one time, how long.
fn extremes(plan: &PlanSummary) -> Vec<String> {
    let (coin, totals) = (coin(plan), &plan.totals);
    let mut columns = Columns::new(&[Align::Left, Align::Left]);
    if totals.reused > 0 {
        let saved =
            format!("{}, saves {}", counted(totals.reused, "output"), coin.rounded(totals.saved));
        columns.row(["Reused from cache", &coin.line(saved)]);
    }
    let retried = match (totals.with_retries, totals.cap) {
        (Some(most), Some(cap)) if most > cap => {
            format!("{}  →  stopped by the cap at {}", coin.rounded(most), coin.rounded(cap))
        }
        (Some(most), _) => coin.rounded(most),
        (None, Some(cap)) => format!("unbounded  →  stopped by the cap at {}", coin.rounded(cap)),
        (None, None) => "unbounded, and there is no cap: set `budget.max`".into(),
    };
    columns.row(["With every retry that is allowed", &coin.line(retried)]);
    let locked = totals.peak_locked.map_or_else(|| "unbounded".into(), |wei| coin.rounded(wei));
    columns.row(["Most money locked at one time", &coin.line(locked)]);
    if let Some(eta) = plan.eta {
        columns.row(["Time, from earlier runs", &format!("about {}", span(eta))]);
    }
    columns.lines()
}

fn funds(plan: &PlanSummary) -> Vec<String> {
    let coin = coin(plan);
    let mut columns = Columns::new(&[Align::Left; 4]);
    let mut row = |what: &str, own: &Shortfall, deposit: String| {
        let state = match own.short.is_zero() {
            true => "ok".to_owned(),
            false => format!("short {}", cell(own.short)),
        };
        let needs = format!("needs {}{deposit}", amounts(own.needs));
        columns.row([what, &format!("free {}", cell(own.free)), &needs, &coin.line(state)]);
    };
    let missing = plan.vault.as_ref().map(|vault| vault.short).filter(|short| !short.is_zero());
    if let Some(vault) = &plan.vault {
        row("VAULT (payments)", vault, String::new());
    }
    if let Some(wallet) = &plan.wallet {
        let deposit = missing.map(|short| format!(" + {} deposit", cell(short)));
        row("WALLET (gas)", wallet, deposit.unwrap_or_default());
    }
    columns.lines()
}

fn remarks(plan: &PlanSummary) -> Vec<String> {
    let mut columns = Columns::new(&[Align::Left; 3]);
    for step in &plan.steps {
        if step.publish.max == Some(0) {
            columns.row(["!", step.name.as_str(), "has no items: nothing is published for it"]);
        } else if let Some(bytes) = step.public_bytes {
            let tasks = numbered(step.publish, "task");
            let text = format!("inputs and outputs are public on IPFS ({tasks}, {})", size(bytes));
            columns.row(["!", step.name.as_str(), &text]);
        }
    }
    for warning in &plan.warnings {
        let place = warning.position.map(|(line, _)| format!("   {}:{line}", warning.file));
        let text = format!("{}{}", clean(&warning.message), place.unwrap_or_default());
        let about = warning.step.as_deref().unwrap_or("");
        columns.row(["!", about, &format!("{}  {text}", warning.code)]);
    }
    for source in &plan.sources {
        let [facts, delivery] = self::source(source, &coin(plan));
        let name = source.alias.clone().unwrap_or_else(|| short(&source.address));
        columns.row([if source.active { "✓" } else { "×" }, &name, &facts]);
        columns.row(["", "", &delivery]);
    }
    columns.lines()
}

fn source(source: &SourceSummary, coin: &Coin) -> [String; 2] {
    let active = if source.active { "active" } else { "not active" };
    let facts = format!(
        "{}  {active}  min {}  max expiry {}  {}",
        short(&source.address),
        coin.exact(source.min_payment),
        span(source.max_expiry),
        counted(source.providers, "provider")
    );
    let delivery = match source.delivery {
        Delivery::ManualConfirmation => {
            "MANUAL_CONFIRMATION: outputs are checked before they are paid"
        }
        Delivery::FirstResponse => {
            "FIRST_RESPONSE: the contract pays the first response, before it can be checked"
        }
    };
    [coin.line(facts), delivery.into()]
}

fn verdict(plan: &PlanSummary) -> String {
    let (coin, totals) = (coin(plan), &plan.totals);
    let tasks = tasks(totals.publish);
    let retries = match (totals.total.max, totals.at_most()) {
        (Some(planned), Some(most)) if most != planned => {
            format!(" ({} with retries)", cell(most))
        }
        _ => String::new(),
    };
    let most = match (totals.total.max, totals.cap) {
        (Some(planned), Some(cap)) => coin.rounded(planned.min(cap)),
        (Some(limit), None) | (None, Some(limit)) => coin.rounded(limit),
        (None, None) => "an unbounded amount".into(),
    };
    coin.line(format!("Plan: publish {tasks}, spend at most {most}{retries}."))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Text within Markdown: what would be markup is not.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '<' | '>' | '*' | '_' | '[' | ']' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Columns of blanks as one blank.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
