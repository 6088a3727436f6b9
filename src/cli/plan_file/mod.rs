//! A saved plan: what `plan --out` writes, and what `run` carries out exactly or refuses.
//!
//! It is the plan's own document with one part more, `saved`: what the plan is made from again,
//! and hashes of all that must not have changed. It holds no key, no address of a node and no
//! text of the pipeline. Its caps can lower what a run may spend, never raise it.

pub mod stale;

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::args::ParamArgs;
use super::failure::{Exit, Failure};
use super::file::PipelineFile;
use super::prepare::{Prepared, Wanted};
use super::question;
use super::rows::NewFile;
use super::ui::Ui;
use crate::pipeline::{Code, Foreach};
use crate::plan::{Fingerprint, Sources};
use crate::report::plan_json;
use crate::units::cid::sha256;
use crate::units::{StepName, Wei, canonical};

/// The version of what stands under `saved`.
const VERSION: u32 = 1;

/// What a saved plan has besides its document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The version of this part.
    pub version: u32,
    /// The ogflow that made it: another one may render otherwise.
    pub ogflow: String,
    /// `--param` as typed.
    pub param: Vec<String>,
    /// `--params`.
    pub params_file: Option<PathBuf>,
    /// `--only`.
    pub only: Option<String>,
    /// `--limit`.
    pub limit: Option<u32>,
    /// `--max-spend`.
    pub max_spend: Option<Wei>,
    /// The pipeline, its templates and schemas.
    pub texts: Vec<Hashed>,
    /// What the items of each step were read from, in plan order.
    pub inputs: Vec<Input>,
    /// The sources, as their contracts were.
    pub sources: Sources,
    /// The most that its run may spend as it was shown; `None` is unbounded.
    pub most_wei: Option<Wei>,
}

/// A file with its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashed {
    /// Its path as written.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: B256,
}

/// The items of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The step.
    pub step: StepName,
    /// The file or pattern; `None` for a list.
    pub file: Option<String>,
    /// SHA-256 of what was read; `None` where it is known only during the run.
    pub sha256: Option<B256>,
}

/// A saved plan that was read.
#[derive(Clone, Debug)]
pub struct PlanFile {
    /// Its path as typed.
    pub name: String,
    /// What it was made from.
    pub saved: Saved,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// The params with their values.
    pub params: Map<String, Value>,
    /// The network's name and chain id.
    pub network: (String, u64),
    /// Who signs, if that was known.
    pub signer: Option<Address>,
    /// What it was made from, in hashes.
    pub fingerprint: Fingerprint,
    /// Its figures: tasks and payments.
    pub figures: Value,
    /// What stops the run.
    pub cap: Option<Wei>,
    given: ParamArgs,
}

/// The parts of the document that a run looks at.
#[derive(Deserialize)]
struct Document {
    pipeline: PipelinePart,
    params: Map<String, Value>,
    network: NetworkPart,
    signer: Option<SignerPart>,
    totals: Value,
    fingerprint: FingerprintPart,
    saved: Saved,
}

#[derive(Deserialize)]
struct PipelinePart {
    file: PathBuf,
}

#[derive(Deserialize)]
struct NetworkPart {
    name: String,
    chain_id: u64,
}

#[derive(Deserialize)]
struct SignerPart {
    address: Address,
}

#[derive(Deserialize)]
struct FingerprintPart {
    pipeline: B256,
    inputs: B256,
    sources: B256,
    cache: B256,
    gas_price_wei: Option<Wei>,
}

/// The figures that have to come out the same.
fn figures(totals: &Value) -> Value {
    json!({"publish": totals["publish"], "payment_wei": totals["payment_wei"]})
}

/// The document of a plan with what makes it a saved one.
pub fn document(prepared: &Prepared, wanted: &Wanted<'_>) -> Value {
    let (plan, pipeline) = (&prepared.plan, &prepared.checked.pipeline);
    let files = std::iter::once(&pipeline.file).chain(&pipeline.parts);
    let inputs = (0_u16..).zip(plan.steps()).map(|(place, step)| Input {
        step: plan.step_name(place).clone(),
        file: match &pipeline.steps[step.written_at].foreach {
            Foreach::File(items) => Some(items.path.clone()),
            Foreach::Once | Foreach::List(_) | Foreach::Expression(_) => None,
        },
        sha256: step.items.as_ref().map(|items| items.sha256),
    });
    let saved = Saved {
        version: VERSION,
        ogflow: env!("CARGO_PKG_VERSION").to_owned(),
        param: wanted.params.param.clone(),
        params_file: wanted.params.params.clone(),
        only: wanted.only.map(str::to_owned),
        limit: wanted.limit,
        max_spend: wanted.max_spend,
        texts: files
            .map(|file| Hashed { name: file.name.clone(), sha256: sha256(file.text.as_bytes()) })
            .collect(),
        inputs: inputs.collect(),
        sources: prepared.sources.clone(),
        most_wei: prepared.summary.totals.at_most().map(question::rounded_up),
    };
    let mut document = plan_json::document(&prepared.summary);
    document["saved"] = json!(saved);
    document["digest"] = json!(canonical::digest(&document));
    document
}

/// Writes a saved plan; `-` is stdout.
///
/// # Errors
/// When it cannot be written, or its pipeline came from stdin and is nowhere.
pub fn write(
    ui: &Ui,
    out: &Path,
    (prepared, wanted): (&Prepared, &Wanted<'_>),
) -> Result<(), Failure> {
    use std::io::Write;
    let mut text = serde_json::to_string_pretty(&document(prepared, wanted)).unwrap_or_default();
    text.push('\n');
    if out.as_os_str() == "-" {
        return ui.data(&text);
    }
    replaceable(out)?;
    let mut file = NewFile::begin(out)?;
    file.write_all(text.as_bytes()).map_err(|error| {
        Failure::new(Exit::Unexpected, format!("{} cannot be written", out.display()))
            .because(error)
    })?;
    file.finish()?;
    ui.talk(&format!("wrote {}", out.display()));
    Ok(())
}

/// Refuses to put a plan in the place of a file that is none, such as the pipeline.
fn replaceable(out: &Path) -> Result<(), Failure> {
    let Ok(there) = std::fs::read(out) else { return Ok(()) };
    let document = serde_json::from_slice::<Value>(&there).ok();
    if document.is_some_and(|document| document.get("saved").is_some()) {
        return Ok(());
    }
    Err(Failure::usage(format!("{} is there already, and is no saved plan", out.display()))
        .help("nothing was written: choose another name, or remove the file"))
}

/// The saved plan that a file holds; `None` if it holds a pipeline.
///
/// # Errors
/// Exit 2 when it is a plan that cannot be run: printed and not saved, of another version,
/// damaged or edited.
pub fn read(file: &PipelineFile) -> Result<Option<PlanFile>, Failure> {
    let text = file.text.text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('{') {
        return Ok(None);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return Ok(None) };
    let Some(schema) = value["schema"].as_str().filter(|it| it.starts_with("ogflow.plan/")) else {
        return Ok(None);
    };
    let name = file.path.display().to_string();
    let again = format!("ogflow plan FILE --out {name}");
    let refused = |what: &str| Failure::usage(format!("{name} {what}")).help(again.clone());
    let version = value["saved"]["version"].as_u64();
    if schema != plan_json::SCHEMA || version.is_some_and(|found| found != u64::from(VERSION)) {
        return Err(refused("was saved by another version of ogflow"));
    }
    if value["saved"].is_null() {
        return Err(refused("is a plan that was printed, not one that was saved"));
    }
    let digest = value.as_object_mut().and_then(|map| map.remove("digest"));
    if digest != Some(json!(canonical::digest(&value))) {
        return Err(refused("was edited or damaged since it was saved"));
    }
    let document: Document = serde_json::from_value(value)
        .map_err(|error| refused("is no saved plan").because(error))?;
    Ok(Some(PlanFile::of(name, document)))
}

impl PlanFile {
    fn of(name: String, document: Document) -> Self {
        let Document { pipeline, params, network, signer, totals, fingerprint, saved } = document;
        let given = ParamArgs { param: saved.param.clone(), params: saved.params_file.clone() };
        Self {
            name,
            saved,
            pipeline: pipeline.file,
            params,
            network: (network.name, network.chain_id),
            signer: signer.map(|signer| signer.address),
            fingerprint: Fingerprint {
                pipeline: fingerprint.pipeline,
                inputs: fingerprint.inputs,
                sources: fingerprint.sources,
                cache: fingerprint.cache,
                gas_price: fingerprint.gas_price_wei,
            },
            figures: figures(&totals),
            cap: serde_json::from_value(totals["cap_wei"].clone()).unwrap_or_default(),
            given,
        }
    }

    /// The params that it was made with.
    pub const fn given(&self) -> &ParamArgs {
        &self.given
    }

    /// The command that makes it anew, with the same flags.
    fn again(&self) -> String {
        let saved = &self.saved;
        let mut line = format!("ogflow plan {}", self.pipeline.display());
        let flags = [
            ("params", saved.params_file.as_ref().map(|path| path.display().to_string())),
            ("only", saved.only.clone()),
            ("limit", saved.limit.map(|limit| limit.to_string())),
            ("max-spend", saved.max_spend.map(|most| format!("\"{most}\""))),
        ];
        for pair in &saved.param {
            line.push_str(&format!(" --param '{pair}'"));
        }
        for (flag, value) in flags {
            line.extend(value.map(|value| format!(" --{flag} {value}")));
        }
        format!("{line} --out {}", self.name)
    }

    /// The failure of a plan from which these differ now.
    fn stale(&self, changed: &[String]) -> Failure {
        let verb = if changed.len() == 1 { "has" } else { "have" };
        let message =
            format!("the plan in {} is stale: {} {verb} changed", self.name, changed.join(", "));
        Failure::new(Exit::Stale, message)
            .coded(Code::E0831)
            .help(format!("look at the plan anew: {}", self.again()))
    }
}
