//! Which projects the user has allowed to bend a network with real money.
//!
//! One line per decision in a file of the user's data folder: a digest over the project's
//! folder and the whole network as it was shown. Another word in the profile is another
//! question.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::units::{Network, canonical};

/// The file with the decisions.
fn file(data: &Path) -> PathBuf {
    data.join("trusted")
}

/// What is remembered about a project and a network.
fn digest(project: &Path, network: &Network) -> String {
    let network = serde_json::to_value(network).expect("a network is plain data");
    let facts = serde_json::json!([project.display().to_string(), network]);
    canonical::digest(&facts).to_string()
}

/// Whether the user said yes to exactly this before.
pub fn is_trusted(data: Option<&Path>, project: &Path, network: &Network) -> bool {
    let Some(text) = data.and_then(|data| fs::read_to_string(file(data)).ok()) else {
        return false;
    };
    let wanted = digest(project, network);
    text.lines().any(|line| line == wanted)
}

/// Remembers a yes.
///
/// # Errors
/// When the file cannot be written; the question is then asked again next time.
pub fn trust(data: &Path, project: &Path, network: &Network) -> std::io::Result<()> {
    fs::create_dir_all(data)?;
    let mut out = fs::OpenOptions::new().create(true).append(true).open(file(data))?;
    writeln!(out, "{}", digest(project, network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_holds_for_this_project_and_this_profile_only() {
        let data = tempfile::tempdir().unwrap();
        let (here, there) = (Path::new("/p/a"), Path::new("/p/b"));
        let network = Network::mainnet();
        assert!(!is_trusted(Some(data.path()), here, &network));
        trust(data.path(), here, &network).unwrap();
        assert!(is_trusted(Some(data.path()), here, &network));
        assert!(!is_trusted(Some(data.path()), there, &network));
        let bent = Network { rpc: vec!["https://other.example".into()], ..network };
        assert!(!is_trusted(Some(data.path()), here, &bent));
        assert!(!is_trusted(None, here, &bent));
    }
}
