//! Questions: asked on stderr, read from the terminal, never where nobody can answer.
//!
//! With real money a yes is an amount, typed as it was shown: Enter and `y` mean no. Off a
//! terminal, and with `--no-input`, a question is a failure at once that names the flag.

use std::io::{self, BufRead};

use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::pipeline::Code;
use crate::units::{Network, Wei};

/// Whether a question can be asked at all.
fn can_ask(settings: &Settings) -> bool {
    settings.ui.can_ask() && !settings.no_input
}

/// One line of the reader's; `None` at the end of the input.
fn line(settings: &Settings, question: &str) -> Result<Option<String>, Failure> {
    settings.ui.ask(question);
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text).map_err(|error| {
        Failure::new(Exit::NeedsAnswer, "the answer cannot be read").because(error)
    })?;
    Ok((read > 0).then(|| text.trim().to_owned()))
}

/// A choice by number or name; `None` where it cannot be asked or nothing was chosen.
///
/// # Errors
/// When the terminal cannot be read.
pub fn choose(
    settings: &Settings,
    question: &str,
    list: &[(&str, &str)],
) -> Result<Option<usize>, Failure> {
    if !can_ask(settings) {
        return Ok(None);
    }
    settings.ui.say(question);
    for (place, (name, about)) in list.iter().enumerate() {
        settings.ui.say(&format!("  {}  {name:<13} {about}", place + 1));
    }
    let Some(answer) = line(settings, "Number or name: ")? else {
        return Ok(None);
    };
    let by_number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let by_name = list.iter().position(|(name, _)| *name == answer);
    Ok(by_number.filter(|place| *place < list.len()).or(by_name))
}

/// A yes or no; no unless the reader says yes.
///
/// # Errors
/// When nobody can be asked: exit 4, naming `flag`.
pub fn yes(settings: &Settings, question: &str, flag: &str) -> Result<bool, Failure> {
    if !can_ask(settings) {
        return Err(nobody_to_ask(question, flag));
    }
    let answer = line(settings, &format!("{question} [y/N] "))?;
    Ok(answer.is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "y" | "yes")))
}

/// The failure of a question that nobody can answer.
pub fn nobody_to_ask(question: &str, flag: &str) -> Failure {
    let question = question.lines().last().unwrap_or(question);
    Failure::new(
        Exit::NeedsAnswer,
        format!("this needs an answer and nobody can give one: {question}"),
    )
    .coded(Code::E0802)
    .help(format!("on a terminal you would be asked; elsewhere use {flag}"))
}

/// What is about to be spent.
#[derive(Clone, Debug)]
pub struct Spending<'a> {
    /// The network.
    pub network: &'a Network,
    /// What is about to happen, as a sentence that ends with its amounts.
    pub what: String,
    /// The most that it can cost; `None` is unbounded.
    pub most: Option<Wei>,
    /// What the money does: `spend up to`, `deposit`.
    pub verb: &'static str,
    /// The name that a large amount asks for as well.
    pub name: &'a str,
    /// Whether somebody set a cap that is not the plan's own maximum.
    pub capped: bool,
    /// `--yes`.
    pub yes: bool,
}

/// Asks before money is spent (cli.md, section 4); `Ok` is a yes.
///
/// # Errors
/// Exit 12 for a no, exit 4 where nobody can be asked or `--yes` lacks a cap.
pub fn spend(settings: &Settings, spending: &Spending<'_>) -> Result<(), Failure> {
    if spending.network.devnet {
        return Ok(());
    }
    let blind = spending.yes && spending.network.real_money;
    if !spending.capped && (spending.most.is_none() || blind) {
        let message = if spending.most.is_none() {
            "nothing limits what this run can spend"
        } else {
            "`--yes` with real money needs a cap"
        };
        return Err(Failure::new(Exit::NeedsAnswer, message)
            .coded(Code::E0803)
            .help("set --max-spend AMOUNT, or `budget.max` in the pipeline"));
    }
    if spending.yes {
        return Ok(());
    }
    let most = shown_amount(spending.most.unwrap_or(Wei::ZERO));
    let symbol = &spending.network.symbol;
    if !spending.network.real_money {
        let name = &spending.network.name;
        let question = format!("{} {most} {symbol} on {name}?", capitalized(spending.verb));
        return if yes(settings, &question, "--yes")? { Ok(()) } else { Err(declined()) };
    }
    settings.ui.say(&spending.what);
    let verb = spending.verb;
    let question = format!("Type {most} to {verb} {most} {symbol}, or press Enter to stop: ");
    if !can_ask(settings) {
        return Err(nobody_to_ask(question.trim_end_matches([':', ' ']), "--yes with --max-spend"));
    }
    if line(settings, &question)?.as_deref() != Some(most.as_str()) {
        return Err(declined());
    }
    let large = spending.most.is_some_and(|most| most > settings.confirm_above);
    if large {
        let question = format!("That is more than usual. Type the name `{}`: ", spending.name);
        if line(settings, &question)?.as_deref() != Some(spending.name) {
            return Err(declined());
        }
    }
    Ok(())
}

/// The words with a capital letter at their start.
fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The end of a command that the reader said no to.
pub fn declined() -> Failure {
    Failure::new(Exit::Declined, "nothing was spent")
}

/// The cap that a typed amount stands for: rounded up to two decimals.
pub fn rounded_up(amount: Wei) -> Wei {
    const HUNDREDTH: u128 = 10_000_000_000_000_000;
    let step = alloy::primitives::U256::from(HUNDREDTH);
    let up = amount.to_u256().div_ceil(step).saturating_mul(step);
    Wei::from_u256(up)
}

/// An amount as it is shown and typed: two decimals, rounded up, no unit.
pub fn shown_amount(amount: Wei) -> String {
    amount.coins_rounded(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_with_two_decimals_and_never_below_itself() {
        for (text, shown) in [
            ("8 OGPU", "8.00"),
            ("7.0896 OGPU", "7.09"),
            ("1 wei", "0.01"),
            ("0 OGPU", "0.00"),
            ("7.09 OGPU", "7.09"),
            ("1234567.001 OGPU", "1234567.01"),
        ] {
            let amount = Wei::parse(text).unwrap();
            assert_eq!(shown_amount(amount), shown, "{text}");
            assert!(rounded_up(amount) >= amount);
            assert_eq!(Wei::parse(&format!("{shown} OGPU")).unwrap(), rounded_up(amount));
        }
    }
}
