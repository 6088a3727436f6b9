//! Help: the bare screen, topics, `explain`, and words that are no command.

pub mod later;

use std::ffi::OsString;

use clap::CommandFactory;

use super::args::{Args, ExplainArgs, HelpArgs};
use super::failure::{Exit, Failure};
use super::suggest;
use super::ui::Ui;
use crate::pipeline::Code;

/// What a bare `ogflow` prints.
const SCREEN: &str = "\
Run batches of AI tasks on the OpenGPU network, from one YAML file.

Start here   init  check  plan  run  resume
Look         status  results  graph
Stop         cancel
Money        vault
Sources      templates
Local        devnet
Tools        render  explain  help

Network: NETWORK. Use --network testnet or mainnet for real ones.
First time?  ogflow init hello && cd hello && ogflow run";

/// Commands that have a name already and come in a later version.
const LATER: [&str; 10] = [
    "confirm",
    "wallet",
    "source",
    "cache",
    "doctor",
    "eval",
    "schema",
    "completions",
    "man",
    "config",
];

/// Topics, each with its text; exit codes are made from the enum.
const TOPICS: [(&str, &str); 4] = [
    ("environment", include_str!("environment.txt")),
    ("expressions", include_str!("expressions.txt")),
    ("money", include_str!("money.txt")),
    ("json", include_str!("json.txt")),
];

/// Prints the grouped commands and a first step.
///
/// # Errors
/// When stdout cannot be written.
pub fn screen(ui: &Ui, network: &str, devnet: bool) -> Result<Exit, Failure> {
    let name = if devnet { format!("{network} (play money)") } else { network.to_owned() };
    ui.out(&SCREEN.replace("NETWORK", &name))?;
    Ok(Exit::Done)
}

/// Prints help about a command or a topic.
///
/// # Errors
/// When there is neither, or stdout cannot be written.
pub fn help(args: &HelpArgs, ui: &Ui) -> Result<Exit, Failure> {
    let Some(first) = args.topic.first() else {
        ui.out(&Args::command().render_long_help().to_string())?;
        return Ok(Exit::Done);
    };
    if first == "exit-codes" {
        ui.out(&exit_codes())?;
        return Ok(Exit::Done);
    }
    if let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == first) {
        ui.out(text)?;
        return Ok(Exit::Done);
    }
    let root = Args::command();
    let mut command = root.clone();
    for word in &args.topic {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| no_topic(word, &root))?;
    }
    let path = format!("ogflow {}", args.topic.join(" "));
    ui.out(&command.bin_name(path).render_long_help().to_string())?;
    Ok(Exit::Done)
}

fn no_topic(word: &str, root: &clap::Command) -> Failure {
    let topics = TOPICS.iter().map(|(name, _)| *name).chain(["exit-codes"]);
    let names: Vec<&str> = topics.chain(commands(root)).collect();
    let failure = Failure::usage(format!("there is no help about `{word}`"));
    failure.help(match suggest::nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean `ogflow help {near}`?"),
        None => "`ogflow help` lists the commands and topics".to_owned(),
    })
}

fn commands(root: &clap::Command) -> impl Iterator<Item = &str> {
    root.get_subcommands().map(clap::Command::get_name)
}

/// The table of exit codes.
fn exit_codes() -> String {
    let mut out = String::from("Exit codes of ogflow\n\n");
    for exit in Exit::ALL {
        out.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    out.push_str("\n`ogflow explain CODE` tells more about a code such as E0412.\n");
    out
}

/// Tells more about a code, or lists all.
///
/// # Errors
/// When there is no such code, or stdout cannot be written.
pub fn explain(args: &ExplainArgs, ui: &Ui) -> Result<Exit, Failure> {
    let Some(typed) = &args.code else {
        let lines: Vec<String> =
            Code::ALL.iter().map(|code| format!("{code}  {}", code.entry().title)).collect();
        ui.out(&lines.join("\n"))?;
        return Ok(Exit::Done);
    };
    let Ok(code) = typed.parse::<Code>() else {
        let near = suggest::nearest(
            &typed.to_ascii_uppercase(),
            Code::ALL.iter().map(|code| code.as_str()),
        );
        let help = match near {
            Some(near) => format!("did you mean `ogflow explain {near}`?"),
            None => "`ogflow explain` lists all codes".to_owned(),
        };
        return Err(Failure::usage(format!("there is no code `{typed}`")).help(help));
    };
    let entry = code.entry();
    ui.out(&format!("{} {}\n\n{}", entry.code, entry.title, wrapped(entry.text, ui.width())))?;
    Ok(Exit::Done)
}

/// The text in lines of at most `width` columns.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// What to say about a first word that is no command of this version.
pub fn no_command(words: &[OsString]) -> Failure {
    let first = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if LATER.contains(&first.as_str()) {
        return later(&first);
    }
    let root = Args::command();
    let failure = Failure::usage(format!("there is no command `{first}`"));
    let is_file = [".yaml", ".yml"].iter().any(|end| first.ends_with(end))
        || std::path::Path::new(&first).is_file();
    if is_file {
        return failure.help(format!("to run a pipeline, type `ogflow run {first}`"));
    }
    failure.help(match suggest::nearest(&first, commands(&root)) {
        Some(near) => format!("did you mean `ogflow {near}`?"),
        None => "`ogflow` lists the commands".to_owned(),
    })
}

/// What to say about a word below a command that is none of this version.
pub fn no_subcommand(command: &str, words: &[OsString], later_words: &[&str]) -> Failure {
    let first = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let path = format!("{command} {first}");
    if later_words.contains(&first.as_str()) {
        return later(&path);
    }
    let root = Args::command();
    let near = root
        .find_subcommand(command)
        .and_then(|found| suggest::nearest(&first, commands(found)).map(str::to_owned));
    let failure = Failure::usage(format!("there is no command `{path}`"));
    failure.help(match near {
        Some(near) => format!("did you mean `ogflow {command} {near}`?"),
        None => format!("`ogflow help {command}` lists its commands"),
    })
}

/// The failure of a command that this version lacks.
pub fn later(command: &str) -> Failure {
    Failure::usage(format!("`ogflow {command}` is not part of this version yet"))
        .help("`ogflow` lists the commands that are")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_command_of_the_screen_exists_and_the_other_way_round() {
        let root = Args::command();
        let groups = SCREEN.lines().skip(2).take(7);
        let mut listed: Vec<&str> = groups.flat_map(|line| line[13..].split_whitespace()).collect();
        let mut known: Vec<&str> = commands(&root).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn every_screen_and_topic_fits_80_columns() {
        let texts = TOPICS.iter().map(|(_, text)| *text).chain([SCREEN]);
        for text in texts.chain([exit_codes().as_str()]) {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn a_file_a_typo_and_a_later_command_each_get_their_own_tip() {
        for (typed, part) in [
            ("nightly.yaml", "type `ogflow run nightly.yaml`"),
            ("plann", "did you mean `ogflow plan`?"),
            ("doctor --no-pin", "lists the commands that are"),
            ("frobnicate", "lists the commands"),
        ] {
            let failure = no_command(&words(typed));
            assert_eq!(failure.exit, Exit::Usage);
            let help = failure.help.unwrap();
            assert!(help.contains(part), "{typed}: {help}");
        }
        let failure = no_subcommand("vault", &words("withdraw"), &["withdraw"]);
        assert!(failure.message.contains("not part of this version"));
        let failure = no_subcommand("templates", &words("lsit"), &[]);
        assert_eq!(failure.help.as_deref(), Some("did you mean `ogflow templates list`?"));
    }
}
