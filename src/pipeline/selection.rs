//! Some steps of a pipeline: what `--only [+]STEP[+]` means.

use super::Pipeline;
use super::step::ReadPlace;
use crate::units::StepName;

/// A step, perhaps with what is before or behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The step as typed.
    pub step: String,
    /// Whether all steps that it comes after are taken along.
    pub before: bool,
    /// Whether all steps that come after it are taken along.
    pub behind: bool,
}

/// Why a selection cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// There is no such step.
    #[error("the pipeline has no step `{step}`")]
    Unknown {
        /// What was typed.
        step: String,
    },
    /// A selected step reads one that is not selected, and so has no outputs.
    #[error("`{reader}` reads `{missing}`, which is not selected and has no outputs")]
    Missing {
        /// The selected step.
        reader: StepName,
        /// The step that it reads.
        missing: StepName,
    },
}

impl Selection {
    /// Reads `STEP`, `+STEP`, `STEP+` or `+STEP+`.
    pub fn parse(text: &str) -> Self {
        let (before, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let (behind, step) = rest.strip_suffix('+').map_or((false, rest), |step| (true, step));
        Self { step: step.to_owned(), before, behind }
    }

    /// The steps of a pipeline that are meant, in the order of writing.
    ///
    /// # Errors
    /// [`SelectionError`] when there is no such step, or one would read what is left out.
    pub fn of(&self, pipeline: &Pipeline) -> Result<Vec<StepName>, SelectionError> {
        let start = pipeline.step(&self.step);
        let start = start.ok_or_else(|| SelectionError::Unknown { step: self.step.clone() })?;
        let mut chosen = vec![start.name.clone()];
        if self.before {
            spread(&mut chosen, |chosen| {
                let steps = pipeline.steps.iter().filter(|step| chosen.contains(&step.name));
                steps.flat_map(|step| before(step).cloned()).collect()
            });
        }
        if self.behind {
            let mut behind = vec![start.name.clone()];
            spread(&mut behind, |behind| {
                let comes_after =
                    |step: &&super::Step| before(step).any(|name| behind.contains(name));
                pipeline.steps.iter().filter(comes_after).map(|step| step.name.clone()).collect()
            });
            chosen.extend(behind);
        }
        let steps = pipeline.steps.iter().filter(|step| chosen.contains(&step.name));
        for step in steps.clone() {
            let mut reads = step.reads.iter().filter(|read| read.place != ReadPlace::Needs);
            if let Some(read) = reads.find(|read| !chosen.contains(&read.step)) {
                let (reader, missing) = (step.name.clone(), read.step.clone());
                return Err(SelectionError::Missing { reader, missing });
            }
        }
        Ok(steps.map(|step| step.name.clone()).collect())
    }
}

/// The steps that a step comes after.
fn before(step: &super::Step) -> impl Iterator<Item = &StepName> {
    step.reads.iter().map(|read| &read.step).chain(&step.needs)
}

/// Adds what `next` finds until it finds nothing new.
fn spread(chosen: &mut Vec<StepName>, next: impl Fn(&[StepName]) -> Vec<StepName>) {
    loop {
        let known = chosen.len();
        for name in next(chosen) {
            if !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        if chosen.len() == known {
            return;
        }
    }
}

impl Pipeline {
    /// Leaves out all steps but these, and the outputs that read any of those. A `needs` of a step
    /// that is left out has nothing to wait for.
    pub fn keep(&mut self, only: &[StepName]) {
        if only.is_empty() {
            return;
        }
        self.steps.retain(|step| only.contains(&step.name));
        for step in &mut self.steps {
            step.needs.retain(|name| only.contains(name));
            step.reads.retain(|read| read.place != ReadPlace::Needs || only.contains(&read.step));
        }
        self.outputs.retain(|output| output.reads.iter().all(|name| only.contains(name)));
        only.clone_into(&mut self.only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_takes_what_is_before_or_behind() {
        for (text, before, behind) in
            [("a", false, false), ("+a", true, false), ("a+", false, true), ("+a+", true, true)]
        {
            let expected = Selection { step: "a".into(), before, behind };
            assert_eq!(Selection::parse(text), expected, "{text}");
        }
    }
}
