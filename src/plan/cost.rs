//! What a plan may cost, and whether budget, vault and wallet allow it.

use super::graph::Graph;
use super::make::fixed_payment;
use super::summary::{
    NetworkSummary, PayerSummary, PipelineSummary, PlanSummary, Range, Shortfall, SignerSummary,
    SourceSummary, StepSummary, Totals, WarningSummary, WeiRange,
};
use super::{Plan, PlanError, PlannedStep, RetryRule};
use crate::pipeline::Problem;
use crate::units::cid::sha256;
use crate::units::source::Delivery;
use crate::units::{GasForecast, Round, Timestamp, Wei};

/// Gas limits and the price of gas, as they were last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasPrices {
    /// The gas limit of a publication, by step in plan order.
    pub publish_gas: Vec<u64>,
    /// The gas limit of a confirm.
    pub confirm_gas: u64,
    /// The most that a unit of gas may cost, in wei.
    pub price: Wei,
}

/// What there is to spend, and who spends it. Everything is `None` offline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Who signs.
    pub signer: Option<SignerSummary>,
    /// Whose vault pays.
    pub payer: Option<PayerSummary>,
    /// What the payer's vault has free.
    pub vault_free: Option<Wei>,
    /// What the signer's wallet has.
    pub wallet: Option<Wei>,
    /// Gas.
    pub gas: Option<GasPrices>,
    /// What gas is expected to come to.
    pub forecast: GasForecast,
    /// What stops the run: `budget.max`, `--max-spend` or a setting, whichever holds.
    pub cap: Option<Wei>,
}

/// What one task of a step costs in gas.
#[derive(Clone, Copy)]
struct TaskGas {
    publish: Wei,
    confirm: Wei,
}

impl Plan {
    /// The figures of this plan.
    pub fn summary(
        &self,
        now: Timestamp,
        balances: &Balances,
        warnings: &[Problem],
    ) -> PlanSummary {
        let (sources, source_of) = self.source_summaries();
        let expected = self.expected_gas(&balances.forecast);
        let mut steps: Vec<(usize, StepSummary)> = (0_u16..)
            .zip(&self.steps)
            .map(|(at, step)| {
                let mut summary = self.step_summary(at, source_of[usize::from(at)], balances);
                summary.gas_expected = expected[usize::from(at)].of_tasks(summary.publish);
                (step.written_at, summary)
            })
            .collect();
        steps.sort_unstable_by_key(|(written_at, _)| *written_at);
        let steps: Vec<StepSummary> = steps.into_iter().map(|(_, step)| step).collect();
        let totals = self.totals(&steps, balances);
        let vault = balances.vault_free.map(|free| shortfall(free, totals.payment));
        let deposit = vault.as_ref().map_or(Wei::ZERO, |vault| vault.short);
        let wallet = balances.wallet.map(|free| {
            let reserve = self.pipeline.budget.reserve_gas;
            shortfall(free, totals.gas.plus(WeiRange::exactly(deposit.saturating_add(reserve))))
        });
        let mut fingerprint = self.fingerprint.clone();
        fingerprint.gas_price = balances.gas.as_ref().map(|gas| gas.price);
        PlanSummary {
            created_at: now,
            pipeline: PipelineSummary {
                name: self.pipeline.name.clone(),
                file: self.pipeline.file.name.clone(),
                sha256: sha256(self.pipeline.file.text.as_bytes()),
            },
            params: self.pipeline.params.clone(),
            network: NetworkSummary {
                name: self.network.name.clone(),
                chain_id: self.network.chain_id,
                block: self.sources.block,
                symbol: self.network.symbol.clone(),
                real_money: self.network.real_money,
                devnet: self.network.devnet,
            },
            signer: balances.signer.clone(),
            payer: balances.payer.clone(),
            steps,
            sources,
            totals,
            vault,
            wallet,
            eta: None,
            warnings: warnings.iter().map(warning).collect(),
            fingerprint,
        }
    }

    /// The sources, each once, and for each step in plan order which is its own.
    fn source_summaries(&self) -> (Vec<SourceSummary>, Vec<usize>) {
        let mut written: Vec<(usize, usize)> =
            self.steps.iter().enumerate().map(|(at, step)| (step.written_at, at)).collect();
        written.sort_unstable();
        let mut sources: Vec<SourceSummary> = Vec::new();
        let mut source_of = vec![0; self.steps.len()];
        for (_, at) in written {
            let step = &self.steps[at];
            let known = sources
                .iter()
                .position(|known| known.address == step.source && known.alias == step.source_alias);
            source_of[at] = known.unwrap_or_else(|| {
                sources.push(source_summary(step));
                sources.len() - 1
            });
        }
        (sources, source_of)
    }

    fn step_summary(&self, at: u16, source: usize, balances: &Balances) -> StepSummary {
        let (planned, written) = self.step(at);
        let rule = &self.schedule.steps[usize::from(at)];
        let gas = task_gas(planned, at, balances);
        let publish = planned.width;
        let payment = self.payments(at);
        let gas = WeiRange::times(gas.publish.saturating_add(gas.confirm), publish);
        let own_life = planned.items.as_ref().and_then(|items| items.longest_ms);
        StepSummary {
            name: written.name.clone(),
            source,
            items: planned.width,
            of: planned.of,
            known_after: planned.known_after.map(|step| self.step_name(step).clone()),
            reused: 0,
            publish,
            payment,
            gas,
            gas_expected: WeiRange::ZERO,
            total: payment.plus(gas),
            expires: own_life.map_or(planned.expires, std::time::Duration::from_millis),
            concurrency: rule.concurrency.get(),
            tasks_per_item: 1,
            public_bytes: planned.items.as_ref().and_then(|items| items.public_bytes),
        }
    }

    /// The payments of all first rounds.
    fn payments(&self, at: u16) -> WeiRange {
        let (planned, written) = self.step(at);
        match (&planned.items, fixed_payment(written, &planned.facts)) {
            (_, Some(payment)) => WeiRange::times(payment, planned.width),
            (Some(items), None) if planned.width.is_exact() => WeiRange::exactly(items.payments),
            (Some(items), None) => {
                WeiRange { min: planned.facts.min_payment, max: Some(items.payments) }
            }
            (None, None) => self.unknown_payments(planned),
        }
    }

    /// Payments of items that are not known: between the source's minimum and the ceiling.
    fn unknown_payments(&self, planned: &PlannedStep) -> WeiRange {
        let ceiling = self.pipeline.budget.max_per_task;
        let least = planned.facts.min_payment.saturating_mul(planned.width.min);
        let max = ceiling.zip(planned.width.max).map(|(one, count)| one.saturating_mul(count));
        WeiRange { min: least, max }
    }

    /// The highest payment of a first round, if anything limits it.
    fn highest(&self, at: u16) -> Option<Wei> {
        let (planned, written) = self.step(at);
        fixed_payment(written, &planned.facts)
            .or_else(|| planned.items.as_ref().map(|items| items.highest_payment))
            .or(self.pipeline.budget.max_per_task)
    }

    fn totals(&self, steps: &[StepSummary], balances: &Balances) -> Totals {
        let sum = |pick: fn(&StepSummary) -> WeiRange| {
            steps.iter().map(pick).fold(WeiRange::ZERO, WeiRange::plus)
        };
        Totals {
            reused: steps.iter().map(|step| step.reused).sum(),
            publish: steps.iter().map(|step| step.publish).fold(Range::exactly(0), Range::plus),
            payment: sum(|step| step.payment),
            gas: sum(|step| step.gas),
            gas_expected: sum(|step| step.gas_expected),
            total: sum(|step| step.total),
            with_retries: self.with_retries(balances),
            peak_locked: self.peak_locked(),
            saved: Wei::ZERO,
            cap: balances.cap,
            public_bytes: steps.iter().filter_map(|step| step.public_bytes).sum(),
        }
    }

    /// What the run comes to if every task takes all its rounds.
    ///
    /// A round that nobody responded to, or whose responses were refused by a source that leaves
    /// the choice to the client, gives its payment back: then the last round is the one that is
    /// paid. Where the source pays by itself and a rejected output is bought again, all are.
    fn with_retries(&self, balances: &Balances) -> Option<Wei> {
        (0_u16..).zip(&self.steps).try_fold(Wei::ZERO, |sum, (at, planned)| {
            let rule = &self.schedule.steps[usize::from(at)].retry;
            let count = planned.width.max?;
            if count == 0 {
                return Some(sum);
            }
            let first = self.payments(at).max?;
            let pays_each_round =
                planned.facts.delivery == Delivery::FirstResponse && rule.after_rejected;
            let payment = match fixed_payment(self.step(at).1, &planned.facts) {
                Some(payment) => rounds(rule, payment, pays_each_round)?.checked_mul(count)?,
                // Raised sums are rounded up once per item and round at most.
                None => rounds(&without_ceiling(rule), first, pays_each_round)?
                    .checked_add(Wei::from_u128(u128::from(count) * u128::from(rule.max)))?,
            };
            let gas = task_gas(planned, at, balances);
            let publish = gas.publish.checked_mul(u64::from(rule.max) + 1)?;
            let gas = publish.checked_add(gas.confirm)?.checked_mul(count)?;
            sum.checked_add(payment)?.checked_add(gas)
        })
    }

    /// The most that may be locked in open tasks at one time.
    ///
    /// Steps that wait for all of each other are never open together. With very many steps the
    /// figure is a bound: some step with all those that may be open beside it.
    fn peak_locked(&self) -> Option<Wei> {
        let graph = Graph {
            order: self.steps.iter().map(|step| step.written_at).collect(),
            upstreams: self.schedule.steps.iter().map(|rule| rule.upstreams.clone()).collect(),
        };
        let over = graph.over_before();
        let weights: Vec<Option<Wei>> = (0_u16..)
            .zip(&self.steps)
            .map(|(at, step)| {
                let open = u64::from(self.schedule.steps[usize::from(at)].concurrency.get())
                    .min(u64::from(self.pipeline.limits.in_flight.get()));
                let open = step.width.max.map_or(open, |most| most.min(open));
                if open == 0 {
                    Some(Wei::ZERO)
                } else {
                    Some(self.highest(at)?.saturating_mul(open))
                }
            })
            .collect();
        let weights: Vec<Wei> = weights.into_iter().collect::<Option<_>>()?;
        let together = |one: usize, other: usize| !over[one][other] && !over[other][one];
        if weights.len() <= FEW_STEPS {
            return Some(heaviest(&(0..weights.len()).collect::<Vec<_>>(), &weights, &together));
        }
        let beside = |one: usize| {
            let others = (0..weights.len()).filter(|other| together(one, *other));
            others.fold(Wei::ZERO, |sum, other| sum.saturating_add(weights[other]))
        };
        (0..weights.len()).map(beside).max()
    }
}

/// Steps up to which the heaviest group is searched for; it may take a while for many more.
const FEW_STEPS: usize = 20;

/// The weight of the heaviest group of steps that may all be open at one time.
fn heaviest(steps: &[usize], weights: &[Wei], together: &impl Fn(usize, usize) -> bool) -> Wei {
    let Some((one, others)) = steps.split_first() else { return Wei::ZERO };
    let beside: Vec<usize> =
        others.iter().copied().filter(|other| together(*one, *other)).collect();
    let with = weights[*one].saturating_add(heaviest(&beside, weights, together));
    // Leaving it out only helps if it keeps others out.
    if beside.len() == others.len() { with } else { with.max(heaviest(others, weights, together)) }
}

impl PlanSummary {
    /// Whether the plan can be carried out with what there is.
    ///
    /// # Errors
    /// Over budget when even the least that it can cost is; short of money when vault or wallet
    /// cannot pay even the least.
    pub fn affordable(&self) -> Result<(), PlanError> {
        let least = self.totals.total.min;
        if let Some(cap) = self.totals.cap.filter(|cap| least > *cap) {
            return Err(PlanError::OverBudget { least, cap });
        }
        if let Some(vault) = self.vault.as_ref().filter(|vault| vault.free < vault.needs.min) {
            return Err(PlanError::VaultShort {
                free: vault.free,
                needs: vault.needs.min,
                short: vault.short,
                network: self.network.name.clone(),
            });
        }
        match self.wallet.as_ref().filter(|wallet| wallet.free < wallet.needs.min) {
            Some(wallet) => Err(PlanError::WalletShort {
                balance: wallet.free,
                needs: wallet.needs.min,
                short: wallet.short,
            }),
            None => Ok(()),
        }
    }
}

fn shortfall(free: Wei, needs: WeiRange) -> Shortfall {
    let most = needs.max.unwrap_or(needs.min);
    Shortfall { free, needs, short: most.saturating_sub(free) }
}

fn source_summary(step: &PlannedStep) -> SourceSummary {
    SourceSummary {
        alias: step.source_alias.clone(),
        address: step.source,
        active: step.facts.active,
        delivery: step.facts.delivery,
        min_payment: step.facts.min_payment,
        max_expiry: step.facts.max_expiry,
        providers: step.facts.registrants,
    }
}

fn task_gas(step: &PlannedStep, at: u16, balances: &Balances) -> TaskGas {
    let Some(gas) = &balances.gas else {
        return TaskGas { publish: Wei::ZERO, confirm: Wei::ZERO };
    };
    let publish = gas.publish_gas.get(usize::from(at)).copied().unwrap_or(0);
    let confirms = step.facts.delivery == Delivery::ManualConfirmation;
    TaskGas {
        publish: gas.price.saturating_mul(publish),
        confirm: if confirms { gas.price.saturating_mul(gas.confirm_gas) } else { Wei::ZERO },
    }
}

/// What all rounds of one task pay: the last one, or each of them.
fn rounds(rule: &RetryRule, first: Wei, pays_each_round: bool) -> Option<Wei> {
    let mut payment = first;
    let mut sum = first;
    let mut round = Round::FIRST;
    while round.get() <= rule.max {
        payment = rule.next_payment(payment);
        sum = sum.checked_add(payment)?;
        round = round.next();
    }
    Some(if pays_each_round { sum } else { payment })
}

/// The same rule for a sum of payments, which no ceiling of one payment limits.
fn without_ceiling(rule: &RetryRule) -> RetryRule {
    RetryRule { max_payment: None, ..rule.clone() }
}

fn warning(problem: &Problem) -> WarningSummary {
    WarningSummary {
        code: problem.code.to_string(),
        message: problem.message.clone(),
        step: problem.step.clone(),
        file: problem.file.name.clone(),
        position: problem.position(),
    }
}
