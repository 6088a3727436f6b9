//! The disk behind a pipeline: the files that it names, read from inside its project only.
//!
//! Paths are relative to the file that holds them. Every open goes through a handle of the
//! project's folder, so neither `..` nor a symbolic link leads out of it.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::pipeline::{FoundFile, LoadError, Loader, SourceText};

use super::failure::{Exit, Failure};
use super::settings::{Environment, Settings};

/// The project's files and the variables of the process.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    dir: Dir,
    here: PathBuf,
    env: Environment,
}

impl Disk {
    /// The disk for a pipeline at `file`.
    ///
    /// Its boundary is the project's root, or the pipeline's own folder where the pipeline is
    /// outside of the project.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn open(settings: &Settings, here: &Path, file: &Path) -> Result<Self, Failure> {
        let folder = lexical(here.join(file).parent().unwrap_or(here));
        let project = lexical(&settings.project);
        let root = if folder.starts_with(&project) { project } else { folder };
        let dir = Dir::open_ambient_dir(&root, ambient_authority()).map_err(|error| {
            Failure::new(Exit::Invalid, format!("{} cannot be read", root.display())).because(error)
        })?;
        Ok(Self { root, dir, here: here.to_path_buf(), env: settings.env.clone() })
    }

    /// A path of the project, seen from its root.
    fn seen(&self, from: &str, path: &str) -> Result<PathBuf, LoadError> {
        let outside = || LoadError::Outside { path: path.to_owned() };
        let folder = self.here.join(from);
        let folder = if from == "-" { &self.here } else { folder.parent().unwrap_or(&self.here) };
        let whole = lexical(&folder.join(path));
        let inner = whole.strip_prefix(&self.root).map_err(|_| outside())?;
        Ok(inner.to_path_buf())
    }

    fn read(&self, inner: &Path, path: &str) -> Result<cap_std::fs::File, LoadError> {
        let file = self.dir.open(inner).map_err(|error| failed(path, error))?;
        let meta = file.metadata().map_err(|error| failed(path, error))?;
        if meta.is_dir() {
            return Err(failed(path, io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Ok(file)
    }

    /// Adds the files below `folder` that the pattern matches.
    fn walk(
        &self,
        folder: &Path,
        glob: &Glob<'_>,
        found: &mut Vec<FoundFile>,
    ) -> Result<(), LoadError> {
        let failed = |error| failed(glob.written, error);
        let entries = if folder.as_os_str().is_empty() {
            self.dir.entries().map_err(failed)?
        } else {
            self.dir.read_dir(folder).map_err(failed)?
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.walk(&path, glob, found)?;
            } else if glob.pattern.matches_path_with(&path, GLOB) {
                let size = entry.metadata().map_err(failed)?.len();
                found.push(FoundFile { path: glob.relative(&path), size });
            }
        }
        Ok(())
    }
}

/// How a `*` behaves: it stays within a folder and leaves hidden files alone.
const GLOB: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A pattern as seen from the project's root, and the folder that its finds are named from.
struct Glob<'a> {
    written: &'a str,
    pattern: glob::Pattern,
    base: PathBuf,
}

impl Glob<'_> {
    /// A find, relative to the file that holds the pattern, with `/` between folders.
    fn relative(&self, path: &Path) -> String {
        let mut base: Vec<Component<'_>> = self.base.components().collect();
        let mut rest: Vec<Component<'_>> = path.components().collect();
        let common = base.iter().zip(&rest).take_while(|(a, b)| a == b).count();
        base.drain(..common);
        rest.drain(..common);
        let up = base.iter().map(|_| "..".to_owned());
        let down = rest.iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
        up.chain(down).collect::<Vec<_>>().join("/")
    }
}

impl Loader for Disk {
    fn text(&self, from: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        let inner = self.seen(from, path)?;
        let mut bytes = Vec::new();
        self.read(&inner, path)?.read_to_end(&mut bytes).map_err(|error| failed(path, error))?;
        let text = String::from_utf8(bytes).map_err(|error| LoadError::NotUtf8 {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
        })?;
        let typed = Path::new(from).parent().map_or_else(|| path.into(), |at| at.join(path));
        Ok(SourceText::new(lexical(&typed).display().to_string(), text))
    }

    fn open(&self, from: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        let inner = self.seen(from, path)?;
        Ok(Box::new(self.read(&inner, path)?))
    }

    fn glob(&self, from: &str, pattern: &str) -> Result<Vec<FoundFile>, LoadError> {
        let inner = self.seen(from, pattern)?;
        let read = glob::Pattern::new(&inner.to_string_lossy());
        let parsed = read.map_err(|error| {
            failed(pattern, io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
        })?;
        let base = self.seen(from, ".")?;
        let fixed: PathBuf = inner
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
            .collect();
        let mut found = Vec::new();
        let glob = Glob { written: pattern, pattern: parsed, base };
        match self.walk(&fixed, &glob, &mut found) {
            Err(LoadError::Missing { .. }) => {}
            walked => walked?,
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn inside(&self, from: &str, path: &str) -> Result<(), LoadError> {
        self.seen(from, path).map(drop)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(str::to_owned)
    }
}

/// What went wrong with a file, as the pipeline speaks of it.
fn failed(path: &str, error: io::Error) -> LoadError {
    let path = path.to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return LoadError::Missing { path };
    }
    // What a link out of the folder gives.
    if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        return LoadError::Outside { path };
    }
    LoadError::Unreadable { path, source: error }
}

/// The path without `.` and `..`, by its words alone.
pub fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            Component::ParentDir
            | Component::Normal(_)
            | Component::RootDir
            | Component::Prefix(_) => {
                out.push(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Scene {
        root: tempfile::TempDir,
        disk: Disk,
    }

    /// A project in `p/` with a pipeline in `p/sub/`, and a secret beside it.
    fn scene() -> Scene {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("p");
        fs::create_dir_all(project.join("sub/data/deep")).unwrap();
        for (path, text) in [
            ("secret.txt", "canary"),
            ("p/top.txt", "top"),
            ("p/sub/data/b.txt", "b"),
            ("p/sub/data/a.txt", "aa"),
            ("p/sub/data/.hidden.txt", "h"),
            ("p/sub/data/deep/c.txt", "c"),
        ] {
            fs::write(root.path().join(path), text).unwrap();
        }
        fs::write(project.join("latin.txt"), b"caf\xe9").unwrap();
        let dir = Dir::open_ambient_dir(&project, ambient_authority()).unwrap();
        let disk = Disk { root: project.clone(), dir, here: project, env: Environment::default() };
        Scene { root, disk }
    }

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let scene = scene();
        let text = scene.disk.text("sub/x.yaml", "data/a.txt").unwrap();
        assert_eq!((text.text.as_str(), text.name.as_str()), ("aa", "sub/data/a.txt"));
        assert_eq!(scene.disk.text("sub/x.yaml", "../top.txt").unwrap().name, "top.txt");
        assert_eq!(scene.disk.text("-", "top.txt").unwrap().text, "top");
    }

    #[test]
    fn nothing_outside_of_the_project_is_read() {
        let scene = scene();
        #[cfg(unix)]
        {
            let link = scene.root.path().join("p/link.txt");
            std::os::unix::fs::symlink(scene.root.path().join("secret.txt"), link).unwrap();
            let read = scene.disk.text("x.yaml", "link.txt");
            assert!(matches!(read, Err(LoadError::Outside { .. })), "{read:?}");
        }
        let absolute = scene.root.path().join("secret.txt").display().to_string();
        for path in ["../secret.txt", "sub/../../secret.txt", absolute.as_str(), "/etc/passwd"] {
            let read = scene.disk.text("x.yaml", path);
            assert!(matches!(read, Err(LoadError::Outside { .. })), "{path}: {read:?}");
        }
    }

    #[test]
    fn what_is_missing_no_file_or_no_utf8_says_so() {
        let scene = scene();
        let disk = &scene.disk;
        assert!(matches!(disk.text("x.yaml", "no.txt"), Err(LoadError::Missing { .. })));
        assert!(matches!(disk.text("x.yaml", "sub"), Err(LoadError::Unreadable { .. })));
        assert!(matches!(disk.text("x.yaml", "latin.txt"), Err(LoadError::NotUtf8 { at: 3, .. })));
    }

    #[test]
    fn a_glob_finds_files_in_order_named_from_the_pipelines_folder() {
        let scene = scene();
        let paths = |from: &str, pattern: &str| -> Vec<String> {
            scene.disk.glob(from, pattern).unwrap().into_iter().map(|file| file.path).collect()
        };
        assert_eq!(paths("sub/x.yaml", "data/*.txt"), ["data/a.txt", "data/b.txt"]);
        assert_eq!(paths("sub/x.yaml", "../*.txt"), ["../latin.txt", "../top.txt"]);
        assert_eq!(paths("sub/x.yaml", "data/**/*.txt").len(), 3);
        assert!(paths("sub/x.yaml", "none/*.txt").is_empty());
        assert!(matches!(scene.disk.glob("x.yaml", "../*.txt"), Err(LoadError::Outside { .. })));
    }
}
