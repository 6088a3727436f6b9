//! What the steps of a plan accept, handed to the devnet before anything is published, so that
//! made-up outputs can fit.

use crate::devnet::Town;
use crate::pipeline::{Step, Task, Template};
use crate::plan::Plan;

/// Hands the schemas of all steps over.
pub fn hand_over(town: &Town, plan: &Plan) {
    for (planned, rule) in plan.steps().iter().zip(&plan.schedule().steps) {
        let Some(step) = plan.pipeline().step(rule.name.as_str()) else { continue };
        let own = step.accept.schema.as_deref();
        let of_template = match &step.task {
            Task::Template { template, .. } => template.accept.schema.as_deref(),
            Task::Direct { .. } => None,
        };
        let fields = fields(step);
        for schema in [own, of_template].into_iter().flatten() {
            let names = fields.iter().map(String::as_str);
            town.hand_over(planned.source, step.task.function(), names, schema);
        }
    }
}

/// The names of the fields that a step's data has.
fn fields(step: &Step) -> Vec<String> {
    let data = match &step.task {
        Task::Direct { data, .. } => &data.value,
        Task::Template { template, .. } => &template.data.value,
    };
    match data {
        Template::Map(entries) => entries.iter().map(|(name, _)| name.clone()).collect(),
        Template::Literal(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
        Template::Literal(_) | Template::Whole { .. } | Template::Text(_) | Template::List(_) => {
            Vec::new()
        }
    }
}
