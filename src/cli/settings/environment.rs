//! Environment variables and the project's `.env`, read once.
//!
//! A real variable beats `.env`. What `.env` says counts as the project's word, except that it
//! may hold a key; it reaches this program alone, never the process environment.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::failure::{Exit, Failure};

/// Where a variable came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The process environment.
    Process,
    /// The `.env` file.
    File,
}

/// The variables that this program may look at.
///
/// Its debug form shows names only: a value may be a key.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, (String, Place)>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}

/// Variables that a project's `.env` may not set: they choose the user's key or files.
const NOT_FROM_A_PROJECT: [&str; 2] = ["OGFLOW_ACCOUNT", "OGFLOW_CONFIG_FILE"];

impl Environment {
    /// The process environment; what is not UTF-8 is left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.placed(name).map(|(value, _)| value)
    }

    /// The same, with where it came from.
    pub fn placed(&self, name: &str) -> Option<(&str, Place)> {
        let (value, place) = self.vars.get(name)?;
        (!value.is_empty()).then_some((value.as_str(), *place))
    }

    /// Adds what a `.env` file says, where the process does not say otherwise.
    ///
    /// Gives the names that were taken over, sorted.
    ///
    /// # Errors
    /// When a line is no assignment, or sets what a project may not.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Result<Vec<String>, Failure> {
        let shown = path.display();
        let mut taken = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let place = || format!("{shown}:{}", index + 1);
            let Some((name, value)) = assignment(line).map_err(|what| {
                Failure::new(Exit::Invalid, format!("{} {what}", place()))
                    .help("write NAME=VALUE, one to a line")
            })?
            else {
                continue;
            };
            if NOT_FROM_A_PROJECT.contains(&name.as_str()) {
                let message = format!("{} sets `{name}`, which a project may not", place());
                return Err(Failure::new(Exit::Invalid, message)
                    .help(format!("set `{name}` in the environment, or leave it out")));
            }
            if self.get(&name).is_none() {
                self.vars.insert(name.clone(), (value, Place::File));
                taken.push(name);
            }
        }
        taken.sort();
        taken.dedup();
        Ok(taken)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let vars = pairs.into_iter().map(|(name, value)| (name, (value, Place::Process))).collect();
        Self { vars }
    }
}

/// The name and value on a line of a `.env` file; `None` on an empty one.
fn assignment(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let (name, value) = line.split_once('=').ok_or("is not NAME=VALUE")?;
    let name = name.trim();
    let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !named || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("does not start with a name");
    }
    Ok(Some((name.to_owned(), unquoted(value.trim())?)))
}

/// A value without its quotes; an unquoted one ends at ` #`.
fn unquoted(value: &str) -> Result<String, &'static str> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = value.find(" #").unwrap_or(value.len());
        return Ok(value[..end].trim_end().to_owned());
    };
    let inner = &value[1..];
    let end = inner.find(quote).ok_or("has a quote that is not closed")?;
    let rest = inner[end + 1..].trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err("has text behind the closing quote");
    }
    Ok(inner[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_real_variable_beats_the_file_and_only_what_was_taken_is_named() {
        let mut env = process(&[("OGFLOW_NETWORK", "testnet")]);
        let text = "# a comment\nexport OGFLOW_NETWORK=mainnet\nB='x # y'\nA = \"z\" # why\n\n";
        assert_eq!(env.add_file(Path::new(".env"), text).unwrap(), ["A", "B"]);
        assert_eq!(env.placed("OGFLOW_NETWORK"), Some(("testnet", Place::Process)));
        assert_eq!(env.placed("A"), Some(("z", Place::File)));
        assert_eq!(env.placed("B"), Some(("x # y", Place::File)));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(process(&[("NO_COLOR", "")]).get("NO_COLOR"), None);
    }

    #[test]
    fn the_file_cannot_choose_the_users_key() {
        let error = Environment::default()
            .add_file(Path::new(".env"), "A=1\nOGFLOW_ACCOUNT=alice\n")
            .unwrap_err();
        assert_eq!(error.exit, Exit::Invalid);
        assert!(error.message.starts_with(".env:2 sets `OGFLOW_ACCOUNT`"), "{error}");
    }

    #[test]
    fn lines_that_assign_nothing_are_refused_with_their_number() {
        for line in ["novalue", "=x", "1A=x", "A B=x", "A=\"open", "A='x' y"] {
            let error = Environment::default()
                .add_file(Path::new(".env"), &format!("OK=1\n{line}\n"))
                .unwrap_err();
            assert!(error.message.starts_with(".env:2 "), "{line}: {error}");
        }
    }

    #[test]
    fn the_debug_form_shows_no_value() {
        let env = process(&[("OGFLOW_PRIVATE_KEY", "canary")]);
        assert!(!format!("{env:?}").contains("canary"));
    }
}
