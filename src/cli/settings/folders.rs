//! Where things are: the project, the user's settings, data and keys.

use std::path::{Path, PathBuf};

use super::environment::Environment;

/// The name of a project's settings file.
pub const PROJECT_FILE: &str = "ogflow.toml";

/// Folders of the user (XDG base directories).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The home folder, if there is one.
    pub home: Option<PathBuf>,
    /// The user's settings file.
    pub config_file: Option<PathBuf>,
    /// What ogflow keeps for the user across projects.
    pub data: Option<PathBuf>,
    /// Folders with keystores, first choice first.
    pub keystores: Vec<PathBuf>,
}

impl Folders {
    /// The folders that these variables name.
    pub fn of(env: &Environment) -> Self {
        // A relative path in an XDG variable is to be ignored, says the specification.
        let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = absolute("HOME");
        let below = |path: &str| home.as_ref().map(|home| home.join(path));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| below(".config"));
        let data = absolute("XDG_DATA_HOME")
            .or_else(|| below(".local/share"))
            .map(|data| data.join("ogflow"));
        let own = data.as_ref().map(|data| data.join("keystores"));
        Self {
            config_file: config.map(|config| config.join("ogflow").join("config.toml")),
            keystores: own.into_iter().chain(below(".foundry/keystores")).collect(),
            data,
            home,
        }
    }
}

/// The project root: the nearest folder upwards with a settings file, else `from` itself.
///
/// The search ends at the home folder: what stands there is no project.
pub fn project_root(from: &Path, home: Option<&Path>) -> PathBuf {
    from.ancestors()
        .take_while(|folder| Some(*folder) != home || *folder == from)
        .find(|folder| folder.join(PROJECT_FILE).is_file())
        .unwrap_or(from)
        .to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn xdg_variables_beat_the_usual_places_unless_they_are_relative() {
        let folders = Folders::of(&env(&[
            ("HOME", "/home/u"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_DATA_HOME", "d"),
        ]));
        assert_eq!(folders.config_file.unwrap(), Path::new("/c/ogflow/config.toml"));
        assert_eq!(folders.data.unwrap(), Path::new("/home/u/.local/share/ogflow"));
        assert_eq!(
            folders.keystores,
            [
                Path::new("/home/u/.local/share/ogflow/keystores"),
                Path::new("/home/u/.foundry/keystores")
            ]
        );
        assert_eq!(Folders::of(&env(&[])).config_file, None);
    }

    #[test]
    fn the_nearest_settings_file_upwards_makes_the_project() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(project_root(&deep, Some(root.path())), deep);
        std::fs::write(root.path().join("a").join(PROJECT_FILE), "").unwrap();
        assert_eq!(project_root(&deep, Some(root.path())), root.path().join("a"));
        assert_eq!(project_root(&deep, Some(&root.path().join("a"))), deep);
    }
}
