//! A plan as a machine reads it: `ogflow.plan/v1` (cli.md, section 6).

use serde_json::{Value, json};

use super::layout::rfc3339;
use crate::plan::{
    PayerKind, PlanSummary, Range, Shortfall, SourceSummary, StepSummary, Totals, WarningSummary,
    WeiRange,
};
use crate::units::source::Delivery;

/// The schema of the document.
pub const SCHEMA: &str = "ogflow.plan/v1";

/// The whole document.
pub fn document(plan: &PlanSummary) -> Value {
    let network = &plan.network;
    let payer = plan.payer.as_ref().map(|payer| {
        let kind = match payer.kind {
            PayerKind::Signer => "signer",
            PayerKind::SourceOwner => "source-owner",
        };
        json!({"address": payer.address, "kind": kind})
    });
    let signer = plan.signer.as_ref();
    let signer = signer.map(|own| json!({"address": own.address, "origin": own.origin}));
    let steps: Vec<Value> =
        plan.steps.iter().map(|step| self::step(step, plan.sources.get(step.source))).collect();
    let wallet = plan.wallet.as_ref().map(|own| shortfall("balance_wei", own));
    let warnings: Vec<Value> = plan.warnings.iter().map(warning).collect();
    json!({
        "schema": SCHEMA,
        "created_at": rfc3339(plan.created_at),
        "pipeline": {
            "name": plan.pipeline.name, "file": plan.pipeline.file, "sha256": plan.pipeline.sha256,
        },
        "params": plan.params,
        "network": {
            "name": network.name, "chain_id": network.chain_id, "block": network.block,
            "symbol": network.symbol, "real_money": network.real_money,
        },
        "signer": signer,
        "payer": payer,
        "steps": steps,
        "totals": totals(&plan.totals),
        "vault": plan.vault.as_ref().map(|vault| shortfall("free_wei", vault)),
        "wallet": wallet,
        "eta_s": plan.eta.map(|eta| eta.as_secs()),
        "warnings": warnings,
        "fingerprint": {
            "pipeline": plan.fingerprint.pipeline, "inputs": plan.fingerprint.inputs,
            "sources": plan.fingerprint.sources, "cache": plan.fingerprint.cache,
            "gas_price_wei": plan.fingerprint.gas_price,
        },
    })
}

fn step(step: &StepSummary, source: Option<&SourceSummary>) -> Value {
    json!({
        "id": step.name,
        "source": source.map(self::source),
        "items": range(step.items),
        "known_after": step.known_after,
        "reused": step.reused,
        "publish": range(step.publish),
        "payment_wei": wei_range(step.payment),
        "gas_wei": wei_range(step.gas),
        "gas_expected_wei": wei_range(step.gas_expected),
        "total_wei": wei_range(step.total),
        "expires_s": step.expires.as_secs(),
        "tasks_per_item": step.tasks_per_item,
    })
}

fn source(source: &SourceSummary) -> Value {
    let delivery = match source.delivery {
        Delivery::ManualConfirmation => "manual",
        Delivery::FirstResponse => "first_response",
    };
    json!({
        "alias": source.alias, "address": source.address, "delivery": delivery,
        "min_payment_wei": source.min_payment, "max_expiry_s": source.max_expiry.as_secs(),
        "providers": source.providers,
    })
}

fn totals(totals: &Totals) -> Value {
    json!({
        "publish": range(totals.publish),
        "payment_wei": wei_range(totals.payment),
        "gas_wei": wei_range(totals.gas),
        "gas_expected_wei": wei_range(totals.gas_expected),
        "total_wei": wei_range(totals.total),
        "with_retries_wei": totals.with_retries,
        "peak_locked_wei": totals.peak_locked,
        "saved_wei": totals.saved,
        "cap_wei": totals.cap,
    })
}

fn shortfall(what: &str, own: &Shortfall) -> Value {
    json!({what: own.free, "needs_wei": wei_range(own.needs), "short_wei": own.short})
}

fn warning(warning: &WarningSummary) -> Value {
    json!({
        "code": warning.code, "message": warning.message, "step": warning.step,
        "file": warning.file, "line": warning.position.map(|(line, _)| line),
        "column": warning.position.map(|(_, column)| column),
    })
}

fn range(range: Range) -> Value {
    json!({"min": range.min, "max": range.max})
}

fn wei_range(range: WeiRange) -> Value {
    json!({"min": range.min, "max": range.max})
}

#[cfg(test)]
pub(super) mod tests;
