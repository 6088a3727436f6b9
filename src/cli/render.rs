//! `ogflow render`: the bytes that a task's config would have. Opens no socket.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256};

use super::args::RenderArgs;
use super::check;
use super::failure::{Exit, Failure};
use super::sample::{FirstItems, is_known};
use super::settings::Settings;
use super::suggest;
use crate::devnet::market;
use crate::pipeline::SourceRef;
use crate::plan::{Plan, PlanItem, Purchase, Request, SourceEntry, Sources};
use crate::units::source::{Delivery, SourceFacts};
use crate::units::time::show_duration;
use crate::units::{StepName, TaskKey, Wei};

/// Longer than any task lives.
const LONG: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Prints a task's config, and on stderr what it comes to.
///
/// # Errors
/// When there is no such step or item, or it cannot be rendered before a run.
///
/// # Panics
/// Never: a checked pipeline has names for its steps.
pub fn render(args: &RenderArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let checked = check::pipeline(settings, here, Some(&args.file), &args.params)?;
    let names: Vec<&str> = checked.pipeline.steps.iter().map(|step| step.name.as_str()).collect();
    let Some(step) = names.iter().find(|name| **name == args.step) else {
        let near = suggest::nearest(&args.step, names.iter().copied());
        let message = format!("the pipeline has no step `{}`", args.step);
        return Err(Failure::usage(message).help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its steps are {}", names.join(", ")),
        }));
    };
    let step = StepName::parse(step).expect("a checked pipeline has names for its steps");
    let wanted = args.item.clone().map(|key| (args.step.clone(), key));
    let mut items = FirstItems::new(usize::from(wanted.is_none()), wanted);
    let request = Request {
        pipeline: std::sync::Arc::clone(&checked.pipeline),
        network: &settings.network.value,
        sources: assumed(&Sources::wanted(&checked.pipeline)),
        loader: &checked.disk,
        sink: &mut items,
        limit: None,
    };
    let plan = Plan::make(request).map_err(Failure::of_problems)?.plan;
    let place = plan.place(&step).unwrap_or_default();
    if !is_known(&plan, place) {
        let message = format!("`{step}` reads other steps, so its tasks are known after they ran");
        return Err(Failure::new(Exit::Invalid, message)
            .help("render a step that reads none, or look at a run with `ogflow status`"));
    }
    let item = item(&plan, place, &items, args)?;
    print(&plan, place, &item, settings)
}

fn item(
    plan: &Plan,
    place: u16,
    items: &FirstItems,
    args: &RenderArgs,
) -> Result<PlanItem, Failure> {
    if plan.steps()[usize::from(place)].items.as_ref().is_none_or(|_| is_once(plan, place)) {
        let once = PlanItem::once(plan.step_name(place).as_str());
        return match &args.item {
            Some(key) if key != once.key.as_str() => Err(no_item(plan, place, key)),
            Some(_) | None => Ok(once),
        };
    }
    let first = items.of(plan.step_name(place).as_str()).next().cloned();
    first.ok_or_else(|| match &args.item {
        Some(key) => no_item(plan, place, key),
        None => Failure::new(Exit::Invalid, format!("`{}` has no items", plan.step_name(place))),
    })
}

fn is_once(plan: &Plan, place: u16) -> bool {
    plan.steps()[usize::from(place)].of == crate::plan::ItemsOf::Once
}

fn no_item(plan: &Plan, place: u16, key: &str) -> Failure {
    Failure::usage(format!("`{}` has no item `{key}`", plan.step_name(place)))
        .help("items are named by their key; the first one is taken without --item")
}

fn print(plan: &Plan, place: u16, item: &PlanItem, settings: &Settings) -> Result<Exit, Failure> {
    let scope = plan.scope(place, &[]);
    let label = format!("{}/{}", plan.step_name(place), item.key);
    let wrong = |why: String| {
        Failure::new(Exit::Invalid, format!("{label} cannot be rendered")).because(why)
    };
    let offered = plan.offer(place, item, &scope).map_err(wrong)?;
    // The tag is a run's; zeros take its place, so that the length is right.
    let zeros = TaskKey([0; 16]);
    let bought = Purchase { key: Some(&zeros), payment: offered.payment };
    let config = plan.render(place, item, &scope, bought).map_err(wrong)?;
    let ui = &settings.ui;
    ui.data(&format!("{}\n", String::from_utf8_lossy(&config.bytes)))?;
    let network = plan.network();
    let payment = match offered.payment {
        Wei::ZERO => "the source's minimum".to_owned(),
        known => format!("{} {}", known.coins(), network.symbol),
    };
    let play = if network.devnet { "   play money" } else { "" };
    ui.talk(&format!(
        "{label}: {} bytes, payment {payment}, expires {}{play}",
        config.bytes.len(),
        show_duration(offered.expires)
    ));
    if plan.tag() {
        ui.talk("`ogflow` is the tag of a run; zeros stand in for it here.");
    }
    let content: B256 = config.content;
    ui.talk(&format!("content {content}"));
    Ok(Exit::Done)
}

/// Sources that take everything: what their contracts say needs the chain, and changes no byte.
fn assumed(wanted: &[SourceRef]) -> Sources {
    let facts = SourceFacts {
        client: Address::ZERO,
        active: true,
        min_payment: Wei::ZERO,
        max_expiry: LONG,
        delivery: Delivery::ManualConfirmation,
        registrants: 1,
    };
    let address = |source: &SourceRef| match source {
        SourceRef::Address(address) => *address,
        SourceRef::Builtin(name) => market::builtin_address(name).unwrap_or(Address::ZERO),
    };
    let entries = wanted
        .iter()
        .map(|source| SourceEntry {
            named: source.to_string(),
            address: address(source),
            facts: Some(facts.clone()),
        })
        .collect();
    Sources { entries, block: None }
}
