//! `ogflow init`: a new project that runs as it stands.
//!
//! Never overwrites unasked. Each file is one that the program carries with it, so a fresh
//! machine needs nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::failure::{Exit, Failure};
use super::question;
use super::settings::Settings;

/// What a project can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Skeleton {
    /// One task that says hello.
    Hello,
    /// A CSV through a template, one task for each row.
    MapCsv,
    /// A task for each row, then one task over all their outputs.
    MapReduce,
    /// A conversation in turns, each reading the one before.
    Conversation,
}

/// A file of a skeleton: where it goes, what it is, what is in it.
struct File {
    path: &'static str,
    about: &'static str,
    text: &'static str,
}

const PIPELINE: &str = "the pipeline";
const ROWS: &str = "12 sample rows";
const IGNORE: &str = ".ogflow/\n.env\nout/\n";

impl Skeleton {
    const ALL: [Self; 4] = [Self::Hello, Self::MapCsv, Self::MapReduce, Self::Conversation];

    /// The word for it on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::MapCsv => "map-csv",
            Self::MapReduce => "map-reduce",
            Self::Conversation => "conversation",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Hello => "one task that says hello",
            Self::MapCsv => "a task for each row of a CSV, through a template",
            Self::MapReduce => "a task for each row, then one over all outputs",
            Self::Conversation => "a conversation in turns",
        }
    }

    /// The file name of its pipeline.
    const fn pipeline(self) -> &'static str {
        match self {
            Self::Hello => "hello.yaml",
            Self::MapCsv => "reviews.yaml",
            Self::MapReduce => "digest.yaml",
            Self::Conversation => "conversation.yaml",
        }
    }

    fn files(self) -> Vec<File> {
        let file = |path, about, text| File { path, about, text };
        match self {
            Self::Hello => {
                vec![file(self.pipeline(), PIPELINE, include_str!("hello/hello.yaml"))]
            }
            Self::MapCsv => vec![
                file(self.pipeline(), PIPELINE, include_str!("map-csv/reviews.yaml")),
                file(
                    "templates/classify.yaml",
                    "a reusable task",
                    include_str!("map-csv/templates/classify.yaml"),
                ),
                file("data/reviews.csv", ROWS, include_str!("map-csv/data/reviews.csv")),
            ],
            Self::MapReduce => vec![
                file(self.pipeline(), PIPELINE, include_str!("map-reduce/digest.yaml")),
                file("data/reviews.csv", ROWS, include_str!("map-reduce/data/reviews.csv")),
            ],
            Self::Conversation => vec![file(
                self.pipeline(),
                PIPELINE,
                include_str!("conversation/conversation.yaml"),
            )],
        }
    }

    /// The settings file of a project that starts from it.
    fn settings(self) -> String {
        format!(
            "# Settings of this project; `ogflow help environment` lists what may stand here.\n\
             network = \"devnet\"\npipeline = \"{}\"\n",
            self.pipeline()
        )
    }
}

/// Makes the project.
///
/// # Errors
/// When nothing says what to start from, or a file is in the way.
pub fn init(args: &InitArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let skeleton = choose(args, settings)?;
    let folder = args.name.as_deref().map_or_else(|| here.to_path_buf(), |name| here.join(name));
    let own = skeleton.settings();
    let mut files: Vec<(&str, &str, &str)> =
        skeleton.files().iter().map(|file| (file.path, file.about, file.text)).collect();
    files.push(("ogflow.toml", "project settings (network = devnet)", &own));
    files.push((".gitignore", "", IGNORE));
    let there: Vec<&str> = files
        .iter()
        .filter(|(path, ..)| folder.join(path).symlink_metadata().is_ok())
        .map(|(path, ..)| *path)
        .collect();
    if !there.is_empty() && !args.force {
        let message = format!("{} has {} already", shown(args), there.join(", "));
        return Err(Failure::usage(message).help("choose another name, or replace with --force"));
    }
    for (path, _, text) in &files {
        write(&folder.join(path), text)?;
    }
    tell(args, settings, &files, &there)
}

/// Says what was made, and what to type next.
fn tell(
    args: &InitArgs,
    settings: &Settings,
    files: &[(&str, &str, &str)],
    replaced: &[&str],
) -> Result<Exit, Failure> {
    let ui = &settings.ui;
    let prefix = args.name.as_ref().map_or_else(String::new, |name| format!("{name}/"));
    let wide = files.iter().map(|(path, ..)| prefix.len() + path.len()).max().unwrap_or(0);
    for (path, about, _) in files {
        let verb = if replaced.contains(path) { "replaced" } else { "created" };
        let line = format!("  {verb} {:<wide$}  {about}", format!("{prefix}{path}"));
        ui.talk(line.trim_end());
    }
    if settings.json.is_some() {
        let paths: Vec<String> = files.iter().map(|(path, ..)| format!("{prefix}{path}")).collect();
        ui.data(&format!("{}\n", serde_json::json!(paths)))?;
    }
    ui.talk(
        "Task inputs and outputs are stored on public IPFS. \
         Put no secrets or personal data in them.",
    );
    ui.next(&match &args.name {
        Some(name) => format!("cd {name} && ogflow run"),
        None => "ogflow run".to_owned(),
    });
    Ok(Exit::Done)
}

fn shown(args: &InitArgs) -> String {
    args.name.clone().unwrap_or_else(|| "this folder".to_owned())
}

/// What to start from: the flag, a name that is a template's, or the reader's choice.
fn choose(args: &InitArgs, settings: &Settings) -> Result<Skeleton, Failure> {
    if let Some(skeleton) = args.template {
        return Ok(skeleton);
    }
    let named = args.name.as_deref();
    if let Some(skeleton) = Skeleton::ALL.into_iter().find(|known| Some(known.name()) == named) {
        return Ok(skeleton);
    }
    let list = Skeleton::ALL.map(|skeleton| (skeleton.name(), skeleton.about()));
    question::choose(settings, "What should the project start from?", &list)?
        .and_then(|place| Skeleton::ALL.get(place).copied())
        .ok_or_else(|| {
            let names = Skeleton::ALL.map(Skeleton::name).join("|");
            Failure::usage("nothing says what to start from").help(format!("--template {names}"))
        })
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(Exit::Unexpected, format!("{} cannot be written", path.display()))
            .because(error)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    fs::write(path, text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn a_skeletons_name_is_the_word_on_the_command_line() {
        for skeleton in Skeleton::ALL {
            let word = skeleton.to_possible_value().unwrap();
            assert_eq!(word.get_name(), skeleton.name());
        }
    }

    #[test]
    fn every_skeleton_brings_the_pipeline_that_its_settings_name() {
        for skeleton in Skeleton::ALL {
            assert_eq!(skeleton.files()[0].path, skeleton.pipeline());
            assert!(skeleton.settings().contains(skeleton.pipeline()));
        }
    }
}
