//! `save`: the rows of a step, in input order, where the pipeline wants them.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::history::Reader;
use super::rows::{Form, NewFile, write_raw};
use super::settings::Settings;
use crate::pipeline::{Save, SaveFormat};
use crate::units::RunId;
use crate::units::text::counted;

/// Writes the rows of every step that says `save`, and gives a line for each file.
///
/// # Errors
/// When a row cannot be read back or a file cannot be written.
pub fn write(settings: &Settings, reader: &Reader<'_>) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    let Some(run) = reader.history.tally().run().map(|run| run.id.clone()) else {
        return Ok(lines);
    };
    for (place, step) in reader.plan.steps().iter().enumerate() {
        let place = u16::try_from(place).unwrap_or(u16::MAX);
        let Some(save) = &step.save else { continue };
        if reader.history.ended(place).next().is_none() {
            continue;
        }
        lines.extend(one(settings, reader, (&run, place), save)?);
    }
    Ok(lines)
}

fn one(
    settings: &Settings,
    reader: &Reader<'_>,
    (run, place): (&RunId, u16),
    save: &Save,
) -> Result<Vec<String>, Failure> {
    let from = Path::new(&reader.plan.pipeline().file.name);
    let folder = from.parent().unwrap_or(Path::new(""));
    let path = super::disk::lexical(&folder.join(&save.path));
    let step = reader.plan.step_name(place);
    let form = Form { run, step, place, format: save.format, fields: &[], filter: None };
    if save.format == SaveFormat::Raw {
        let counts = write_raw(&form, reader, &path)?;
        let count = counted(counts.accepted, "output");
        return Ok(vec![format!("wrote {count} of {step} to {}", path.display())]);
    }
    let mut out = NewFile::begin(&path)?;
    let failed = errors_path(&path);
    let mut errors = NewFile::begin(&failed)?;
    let counts = form.write(reader, &mut out, Some(&mut errors))?;
    out.finish()?;
    let mut line =
        format!("wrote {} of {step} to {}", counted(counts.accepted, "output"), path.display());
    if counts.failed > 0 {
        errors.finish()?;
        let count = counted(counts.failed, "failed task");
        line.push_str(&format!("; {count} to {}", failed.display()));
    } else if failed.exists() {
        // What an earlier run left there is not true of this one.
        drop(std::fs::remove_file(&failed));
    }
    tracing::debug!(project = %settings.project.display(), %step, "rows saved");
    Ok(vec![line])
}

/// Where the failed tasks go: `out/rows.jsonl` makes `out/rows.errors.jsonl`.
pub fn errors_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().map_or_else(String::new, |it| it.to_string_lossy().into_owned());
    let end = path.extension().map_or_else(String::new, |it| format!(".{}", it.to_string_lossy()));
    path.with_file_name(format!("{stem}.errors{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tasks_go_beside_the_others() {
        assert_eq!(errors_path(Path::new("out/a.jsonl")), Path::new("out/a.errors.jsonl"));
        assert_eq!(errors_path(Path::new("rows")), Path::new("rows.errors"));
    }
}
