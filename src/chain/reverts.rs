//! A contract's reason to a typed one (protocol.md, section 6), and what to say about it.

use alloy::primitives::Bytes;

use super::contract::{Revert as Words, decode_revert};
use super::error::Fault;
use crate::units::{Revert, Untrusted};

/// The reasons that are known by name; longer ones first where one contains another.
const NAMES: [(&str, Revert); 8] = [
    ("notowner", Revert::NotOwner),
    ("sourceinactive", Revert::SourceInactive),
    ("paymenttoolow", Revert::PaymentTooLow),
    ("expirytoolong", Revert::ExpiryTooLong),
    ("insufficientbalance", Revert::InsufficientBalance),
    ("alreadyconfirmed", Revert::AlreadyConfirmed),
    ("alreadyfinalized", Revert::AlreadyFinalized),
    ("expired", Revert::Expired),
];

/// Whether a reverted call left no reason, as one does whose inner call ran out of gas.
pub(super) fn is_silent(reason: &Revert) -> bool {
    *reason == Revert::Other(Words::Silent.to_string())
}

/// The typed reason of a reverted call's return data.
pub(super) fn typed(data: &[u8]) -> Revert {
    match decode_revert(data) {
        Words::Reason(text) => named(&text),
        Words::NotTheOwner(_) | Words::MissingRole { .. } => Revert::NotOwner,
        other @ (Words::Panic(_) | Words::InvalidOwner(_) | Words::Silent | Words::Raw(_)) => {
            Revert::Other(Untrusted::from(other.to_string()).escaped())
        }
    }
}

/// The reason with this name: exact in any case, then anywhere in the text.
fn named(text: &str) -> Revert {
    let lower = text.trim().to_lowercase();
    let exact = NAMES.iter().find(|(name, _)| *name == lower);
    let found = exact.or_else(|| NAMES.iter().find(|(name, _)| lower.contains(name)));
    found.map_or_else(
        || Revert::Other(Untrusted::from(text).escaped()),
        |(_, reason)| reason.clone(),
    )
}

/// The reason and return data of a refused call, if the refusal is a revert at all.
///
/// Code 3 is one by definition (geth and those that follow it); older nodes say so in the text
/// alone.
pub(super) fn of_fault(fault: &Fault) -> Option<(Revert, Bytes)> {
    let Fault::Refused { code, message, data } = fault else { return None };
    let lower = message.raw().to_lowercase();
    let spelled = ["execution reverted", "vm exception", "revert"];
    if *code != 3 && !spelled.iter().any(|words| lower.contains(words)) {
        return None;
    }
    if let Some(data) = data.as_ref().filter(|data| !data.is_empty()) {
        return Some((typed(data), data.clone()));
    }
    let reason = message.raw().split_once("reverted: ").map(|(_, reason)| named(reason));
    let reason = reason.unwrap_or_else(|| Revert::Other(Words::Silent.to_string()));
    Some((reason, Bytes::new()))
}

/// The reason as a person reads it.
pub(super) fn words(reason: &Revert) -> String {
    match reason {
        Revert::NotOwner => "the caller may not do this".into(),
        Revert::Expired => "too late".into(),
        Revert::SourceInactive => "the source takes no tasks".into(),
        Revert::PaymentTooLow => "the payment is below the source's minimum".into(),
        Revert::ExpiryTooLong => "the expiry is beyond the source's limit".into(),
        Revert::InsufficientBalance => "the payer's vault balance is too low".into(),
        Revert::AlreadyConfirmed => "the response is confirmed already".into(),
        Revert::AlreadyFinalized => "the task has ended already".into(),
        Revert::OutOfGas => "out of gas".into(),
        Revert::Other(text) => text.clone(),
    }
}

/// What to do about it, in one line.
pub(super) const fn hint(reason: &Revert) -> &'static str {
    match reason {
        Revert::NotOwner => "sign as the source's client or an agent of it",
        Revert::Expired => "raise `expires`",
        Revert::SourceInactive => "choose another source: an inactive one never comes back",
        Revert::PaymentTooLow => "raise `payment` to the source's minimum, or write `minimum`",
        Revert::ExpiryTooLong => "lower `expires` below the source's limit",
        Revert::InsufficientBalance => "move money into the vault with `ogflow vault deposit`",
        Revert::AlreadyConfirmed | Revert::AlreadyFinalized => "read the task again",
        Revert::OutOfGas => "it is estimated anew for the next round",
        Revert::Other(_) => "check the source and the payer's balances with `ogflow plan`",
    }
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::{Revert as ErrorString, SolError};

    use super::*;

    fn refused(code: i64, message: &str, data: Option<Vec<u8>>) -> Fault {
        Fault::Refused { code, message: message.into(), data: data.map(Bytes::from) }
    }

    #[test]
    fn names_match_in_any_case_and_inside_longer_reasons() {
        for (text, reason) in [
            ("SourceInactive", Revert::SourceInactive),
            ("sourceinactive", Revert::SourceInactive),
            ("Controller: PaymentTooLow()", Revert::PaymentTooLow),
            ("Vault: InsufficientBalance", Revert::InsufficientBalance),
            ("Expired", Revert::Expired),
            ("NotOwner", Revert::NotOwner),
        ] {
            let data = ErrorString { reason: text.into() }.abi_encode();
            assert_eq!(typed(&data), reason, "{text}");
        }
    }

    #[test]
    fn an_unknown_reason_is_kept_as_printable_text() {
        let data = ErrorString { reason: "\u{1b}[31mboom".into() }.abi_encode();
        let Revert::Other(text) = typed(&data) else { panic!("typed") };
        assert!(text.contains("boom") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_refusal_is_a_revert_by_code_or_by_its_words_only() {
        let data = ErrorString { reason: "Expired".into() }.abi_encode();
        let revert = |fault: &Fault| of_fault(fault).map(|(reason, _)| reason);
        assert_eq!(revert(&refused(3, "whatever", Some(data))), Some(Revert::Expired));
        let words = refused(-32000, "execution reverted: NotOwner", None);
        assert_eq!(revert(&words), Some(Revert::NotOwner));
        let silent = refused(-32000, "execution reverted", None);
        assert_eq!(revert(&silent), Some(Revert::Other(Words::Silent.to_string())));
        assert_eq!(revert(&refused(-32000, "header not found", None)), None);
        assert_eq!(revert(&Fault::Silence), None);
    }
}
