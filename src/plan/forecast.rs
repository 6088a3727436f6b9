//! What the gas of a plan is expected to come to, beside what it may come to at most.

use super::{Plan, Range, WeiRange};
use crate::units::source::Delivery;
use crate::units::{GasForecast, PublishGas, Wei};

/// What the gas of one step is expected to cost, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepGas {
    /// Its first publication.
    pub first: Wei,
    /// Each publication after it.
    pub later: Wei,
    /// A confirm; zero where the source confirms by itself.
    pub confirm: Wei,
}

impl StepGas {
    /// What so many publications and confirms are expected to cost.
    pub fn of(&self, publications: u64, confirms: u64) -> Wei {
        let first = if publications == 0 { Wei::ZERO } else { self.first };
        let later = self.later.saturating_mul(publications.saturating_sub(1));
        first.saturating_add(later).saturating_add(self.confirm.saturating_mul(confirms))
    }

    /// The same for a number of tasks that are published once and confirmed.
    pub fn of_tasks(&self, tasks: Range) -> WeiRange {
        WeiRange { min: self.of(tasks.min, tasks.min), max: tasks.max.map(|max| self.of(max, max)) }
    }
}

impl Plan {
    /// What gas is expected to cost, by step in plan order.
    pub fn expected_gas(&self, forecast: &GasForecast) -> Vec<StepGas> {
        let steps = self.steps().iter().enumerate();
        let gas = |units: u64| forecast.price.saturating_mul(units);
        steps
            .map(|(at, step)| {
                let PublishGas { first, later } =
                    forecast.publish.get(at).copied().unwrap_or_default();
                let confirm = match step.facts.delivery {
                    Delivery::ManualConfirmation => gas(forecast.confirm),
                    Delivery::FirstResponse => Wei::ZERO,
                };
                StepGas { first: gas(first), later: gas(later), confirm }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_publication_has_its_own_price_and_nothing_costs_nothing() {
        let wei = Wei::from_u128;
        let gas = StepGas { first: wei(10), later: wei(7), confirm: wei(2) };
        assert_eq!(gas.of(0, 0), Wei::ZERO);
        assert_eq!(gas.of(1, 0), wei(10));
        assert_eq!(gas.of(4, 3), wei(10 + 3 * 7 + 3 * 2));
        let tasks = gas.of_tasks(Range { min: 1, max: None });
        assert_eq!(tasks, WeiRange { min: wei(12), max: None });
    }
}
