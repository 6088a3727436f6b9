//! "Did you mean": the word that a typo was nearest to.

/// The candidate nearest to what was typed, if one is near enough to be meant.
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = |word: &str| strsim::damerau_levenshtein(typed, word);
    candidates
        .map(|word| (close(word), word))
        .filter(|(distance, word)| *distance <= word.chars().count().max(3) / 3)
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_another_word_finds_none() {
        let words = ["plan", "run", "resume", "status", "templates"];
        for (typed, found) in [
            ("plann", Some("plan")),
            ("rnu", Some("run")),
            ("statsu", Some("status")),
            ("template", Some("templates")),
            ("publish", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, words.into_iter()), found, "{typed}");
        }
    }
}
