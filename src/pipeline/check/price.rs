//! What a task offers and how long it lives, also against the class of work.

use super::Check;
use super::names::Place;
use super::step::StepKeys;
use crate::pipeline::document::Node;
use crate::pipeline::forms;
use crate::pipeline::price::{Complexity, Expires, Payment};
use crate::pipeline::problem::Code;
use crate::pipeline::step::Task;
use crate::pipeline::written::WrittenTemplate;
use crate::units::time::show_duration;

impl Check<'_> {
    pub(super) fn complexity(&mut self, keys: &StepKeys<'_>) -> Option<Option<Complexity>> {
        match keys.get("complexity") {
            Some(node) => self.complexity_word(node).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn complexity_word(&mut self, node: &Node) -> Option<Complexity> {
        let words = [
            ("simple", Complexity::Simple),
            ("medium", Complexity::Medium),
            ("complex", Complexity::Complex),
        ];
        self.reader.word(node, "complexity", &words)
    }

    pub(super) fn payment(
        &mut self,
        keys: &StepKeys<'_>,
        complexity: Option<Option<Complexity>>,
    ) -> Option<Payment> {
        let Some(node) = keys.get("payment") else {
            let class = complexity?;
            if class.is_none() {
                let message = "no `payment`, so each task offers 0.01 OGPU";
                let problem = self.reader.problem(Code::W0608, keys.id, message);
                self.reader.push(problem.help("write `payment: 0.01 OGPU`, or `complexity`"));
            }
            return Some(Payment::Fixed(class.unwrap_or(Complexity::Medium).payment()));
        };
        let text = self.reader.raw(node, "payment", "an amount of money")?;
        if !text.contains("{{") {
            let payment = self.reader.form(node, ("payment", "money"), forms::payment)?;
            return self.under_ceiling(node, payment);
        }
        let (written, fixed) = self.priced(node)?;
        if !fixed {
            return Some(Payment::PerItem(written));
        }
        let value = self.evaluate_now(&written)?;
        match forms::payment_value(&value) {
            Ok(payment) => self.under_ceiling(node, payment),
            Err(error) => {
                self.reader.refuse(node, error);
                None
            }
        }
    }

    /// E0206 for a payment above `budget.max_per_task`.
    fn under_ceiling(&mut self, node: &Node, payment: Payment) -> Option<Payment> {
        let (Payment::Fixed(amount), Some(ceiling)) = (&payment, self.budget.max_per_task) else {
            return Some(payment);
        };
        if *amount <= ceiling {
            return Some(payment);
        }
        let message = "the payment is above `budget.max_per_task`";
        let problem = self.reader.problem(Code::E0206, node.mark(&self.reader.file), message);
        self.reader.push(problem.label(format!("{amount} > {ceiling}")));
        None
    }

    pub(super) fn expires(&mut self, keys: &StepKeys<'_>, task: Option<&Task>) -> Option<Expires> {
        let Some(node) = keys.get("expires") else {
            let of_template = match task {
                Some(Task::Template { template, .. }) => template.expires,
                Some(Task::Direct { .. }) | None => None,
            };
            return Some(of_template.map_or(Expires::Default, Expires::After));
        };
        let text = self.reader.raw(node, "expires", "a duration")?;
        if !text.contains("{{") {
            let span = self.reader.form(node, ("expires", "a duration"), forms::expires)?;
            return Some(Expires::After(span));
        }
        let (written, fixed) = self.priced(node)?;
        if !fixed {
            return Some(Expires::PerItem(written));
        }
        let value = self.evaluate_now(&written)?;
        match forms::expires_value(&value) {
            Ok(span) => Some(Expires::After(span)),
            Err(error) => {
                self.reader.refuse(node, error);
                None
            }
        }
    }

    /// A value that may depend on the item, and whether it does not.
    fn priced(&mut self, node: &Node) -> Option<(WrittenTemplate, bool)> {
        let written = self.reader.template(node)?;
        let references = written.references();
        let before = self.reader.problems.len();
        self.reader.names(&references, Place::Price, &self.names);
        if self.reader.problems.len() > before {
            return None;
        }
        let fixed = references.iter().all(|reference| reference.path[0] == "params");
        Some((written, fixed))
    }

    /// W0604: a payment or an expiry that does not fit the class of work.
    pub(super) fn compare_with_complexity(
        &mut self,
        keys: &StepKeys<'_>,
        (complexity, task): (Option<Option<Complexity>>, Option<&Task>),
        (payment, expires): (&Option<Payment>, &Option<Expires>),
    ) {
        let of_template = match task {
            Some(Task::Template { template, .. }) => template.complexity,
            Some(Task::Direct { .. }) | None => None,
        };
        let Some(class) = complexity.flatten().or(of_template) else { return };
        let word = class.as_str();
        if let (Some(node), Some(Payment::Fixed(amount))) = (keys.get("payment"), payment) {
            let (least, most) = class.payments();
            if *amount < least || *amount > most {
                let message = format!("{amount} is outside of what `{word}` work is paid");
                let problem =
                    self.reader.problem(Code::W0604, node.mark(&self.reader.file), message);
                self.reader.push(problem.help(format!("`{word}` is {least} to {most}")));
            }
        }
        if let (Some(node), Some(Expires::After(span))) = (keys.get("expires"), expires)
            && *span < class.shortest()
        {
            let message = format!("{} is too short for `{word}` work", show_duration(*span));
            let problem = self.reader.problem(Code::W0604, node.mark(&self.reader.file), message);
            let help = format!("`{word}` work takes {} or more", show_duration(class.shortest()));
            self.reader.push(problem.help(help));
        }
    }
}
