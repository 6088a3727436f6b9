//! Which pipeline a command means, and its text.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::ParamArgs;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::suggest;
use crate::pipeline::check::ParamValue;
use crate::pipeline::{Code, Problem, SourceText, Span};

/// More than any pipeline may have; the rest of a larger file is not read.
const MOST_BYTES: u64 = 4 << 20;

/// A pipeline file that was read.
#[derive(Clone, Debug)]
pub struct PipelineFile {
    /// Its path as typed, `-` for stdin.
    pub path: PathBuf,
    /// Its text under that name.
    pub text: Arc<SourceText>,
}

/// Finds and reads the pipeline that a command means (cli.md, section 1, rule 11).
///
/// # Errors
/// Exit 2 when it is not said and not clear which, or there is none; exit 3 when it is no text.
pub fn read(
    settings: &Settings,
    here: &Path,
    typed: Option<&Path>,
) -> Result<PipelineFile, Failure> {
    let path = match typed {
        Some(path) => path.to_path_buf(),
        None => match &settings.pipeline {
            Some(path) => shorter(path, here),
            None => only_one(here)?,
        },
    };
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        let stdin = io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes);
        stdin.map_err(|error| unreadable(&path, &error))?;
    } else {
        let file = fs::File::open(here.join(&path)).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                missing(&path, here)
            } else {
                unreadable(&path, &error)
            }
        })?;
        let read = file.take(MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(&path, &error))?;
    }
    let text = as_text(&path, bytes)?;
    Ok(PipelineFile { path, text })
}

/// The bytes as text, or the problem that they are none.
fn as_text(path: &Path, bytes: Vec<u8>) -> Result<Arc<SourceText>, Failure> {
    let name = path.display().to_string();
    String::from_utf8(bytes).map(|text| SourceText::new(name.clone(), text)).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let text = SourceText::new(name, String::from_utf8_lossy(error.as_bytes()));
        let mark = Span::new(at, char::REPLACEMENT_CHARACTER.len_utf8());
        let problem = Problem::new(Code::E0102, &text, mark, format!("not UTF-8, from byte {at}"))
            .help("save the file as UTF-8");
        Failure::of_problems(vec![problem])
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read", path.display())).because(error)
}

fn missing(path: &Path, here: &Path) -> Failure {
    let failure = Failure::usage(format!("there is no file {}", path.display()));
    let known: Vec<String> =
        pipelines(here).iter().map(|path| path.display().to_string()).collect();
    let typed = path.display().to_string();
    match suggest::nearest(&typed, known.iter().map(String::as_str)) {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => failure,
        None => failure.help(format!("pipelines here: {}", known.join(", "))),
    }
}

/// The path as it would be typed in `here`.
fn shorter(path: &Path, here: &Path) -> PathBuf {
    path.strip_prefix(here).unwrap_or(path).to_path_buf()
}

/// The pipelines in a folder, sorted: YAML files with steps.
fn pipelines(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"))
        .filter(|path| has_steps(&folder.join(path)))
        .collect();
    found.sort();
    found
}

/// Whether a YAML file has `steps` at its top: cheap, and right for what people write.
fn has_steps(path: &Path) -> bool {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
        .is_ok_and(|_| text.lines().any(|line| line.starts_with("steps:")))
}

fn only_one(here: &Path) -> Result<PathBuf, Failure> {
    let mut found = pipelines(here);
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    if found.is_empty() {
        return Err(Failure::usage("there is no pipeline in this folder")
            .help("name a file, or make a project with `ogflow init NAME`"));
    }
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    Err(Failure::usage("there is more than one pipeline in this folder")
        .help(format!("name one: {}", names.join(", "))))
}

/// Params from `--params FILE` and `--param NAME=VALUE`; the flags come last and win.
///
/// # Errors
/// Exit 2 for a pair that is none and a file that cannot be read.
pub fn params(args: &ParamArgs, here: &Path) -> Result<Vec<(String, ParamValue)>, Failure> {
    let mut params = Vec::new();
    if let Some(path) = &args.params {
        let text = fs::read_to_string(here.join(path)).map_err(|error| unreadable(path, &error))?;
        let value: serde_json::Value = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is neither JSON nor YAML", path.display())).because(error)
        })?;
        let serde_json::Value::Object(map) = value else {
            let message = format!("{} holds no map of params", path.display());
            return Err(Failure::usage(message).help("write `name: value`, one to a line"));
        };
        params.extend(map.into_iter().map(|(name, value)| (name, ParamValue::Typed(value))));
    }
    for pair in &args.param {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`--param {pair}` is not of the form NAME=VALUE"))
        })?;
        params.push((name.trim().to_owned(), ParamValue::Text(value.to_owned())));
    }
    Ok(params)
}

/// The exit that problems have: 2 where all errors are params of the command line, else 3.
pub fn exit_of(problems: &[Problem], given: bool) -> Exit {
    let mut errors = problems.iter().filter(|p| p.severity() == crate::pipeline::Severity::Error);
    if given && errors.all(|problem| problem.code == Code::E0315) {
        Exit::Usage
    } else {
        Exit::Invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_only_pipeline_of_a_folder_is_meant_and_templates_are_none() {
        let steps = "version: 1\nsteps:\n";
        let one = folder(&[("a.yaml", steps), ("t.yaml", "kind: template\n"), ("x.txt", steps)]);
        assert_eq!(only_one(one.path()).unwrap(), Path::new("a.yaml"));
        let two = folder(&[("a.yaml", steps), ("b.yml", steps)]);
        let error = only_one(two.path()).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("name one: a.yaml, b.yml"));
        assert_eq!(only_one(folder(&[]).path()).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_missing_file_gets_the_nearest_name() {
        let here = folder(&[("nightly.yaml", "steps:\n")]);
        let error = missing(Path::new("nihgtly.yaml"), here.path());
        assert_eq!(error.help.as_deref(), Some("did you mean `nightly.yaml`?"));
    }

    #[test]
    fn bytes_that_are_no_text_are_marked_where_they_stand() {
        let failure = as_text(Path::new("x.yaml"), b"name: caf\xe9\n".to_vec()).unwrap_err();
        let problem = &failure.problems[0];
        assert_eq!((failure.exit, problem.code), (Exit::Invalid, Code::E0102));
        assert_eq!(problem.position(), Some((1, 10)));
    }

    #[test]
    fn flags_come_behind_the_file_so_that_they_win() {
        let here = folder(&[("p.yaml", "n: 1\nwho: x\n")]);
        let args = ParamArgs { param: vec!["n=2".into()], params: Some("p.yaml".into()) };
        let read = params(&args, here.path()).unwrap();
        assert_eq!(read.last(), Some(&("n".into(), ParamValue::Text("2".into()))));
        assert_eq!(read.len(), 3);
        let bad = ParamArgs { param: vec!["n".into()], params: None };
        assert_eq!(params(&bad, here.path()).unwrap_err().exit, Exit::Usage);
    }
}
