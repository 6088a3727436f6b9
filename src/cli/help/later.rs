//! Flags that have a name already and come in a later version: what to say instead of the
//! nearest flag that means something else.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::failure::Failure;

/// Each flag with what does the job today.
const FLAGS: [(&str, &str); 6] = [
    ("--explain", "every task of a plan is new: outputs are not reused yet"),
    ("--no-cache", "outputs are not reused yet, so there is nothing to switch off"),
    ("--canary", "`--limit N` runs the first items only, for a look before the rest"),
    ("--secret-file", "secrets have no use yet"),
    ("--all", "`ogflow -C FOLDER status` shows another project"),
    ("--fix", "`ogflow check` says what to write"),
];

/// The failure of a flag that comes later; `None` for any other mistake.
pub fn flag(error: &clap::Error) -> Option<Failure> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = typed.split(['=', ' ']).next().unwrap_or(typed);
    let (flag, instead) = FLAGS.iter().find(|(flag, _)| *flag == name)?;
    let failure = Failure::usage(format!("`{flag}` is not part of this version yet"));
    Some(failure.help(*instead))
}
