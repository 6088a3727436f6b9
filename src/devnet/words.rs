//! Words for made-up outputs, taken from a task's data.

use serde_json::{Map, Value};

/// How many words a sentence takes from the data.
const WORDS: usize = 12;

/// Letters from which a word says something.
const LONG_WORD: usize = 4;

/// Below this `maxLength` a text is one word.
pub(super) const SHORT: usize = 24;

/// What the data is about: the last line of its last longest text, without a leading `Text:`.
///
/// A prompt usually ends with what it is about; of a conversation the last message counts.
pub(super) fn subject(data: &Map<String, Value>) -> String {
    let messages = data.get("messages").and_then(Value::as_array);
    let last = messages.and_then(|list| list.last()).and_then(|message| message.get("content"));
    let named = ["text", "prompt", "input", "content", "message", "question"];
    let named = named.into_iter().filter_map(|name| data.get(name));
    let text = last.into_iter().chain(named).find_map(Value::as_str);
    let text = match text {
        Some(text) => text.to_owned(),
        None => longest(&Value::Object(data.clone()), 0),
    };
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    match line.split_once(": ") {
        Some((label, rest)) if !label.contains(' ') && !rest.is_empty() => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    }
}

/// The longest text anywhere in a value, which is at most 16 levels deep where it is looked at.
fn longest(value: &Value, depth: usize) -> String {
    if depth > 16 {
        return String::new();
    }
    let inner: Vec<String> = match value {
        Value::String(text) => return text.clone(),
        Value::Array(items) => items.iter().map(|item| longest(item, depth + 1)).collect(),
        Value::Object(map) => map.values().map(|item| longest(item, depth + 1)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    };
    inner.into_iter().max_by_key(String::len).unwrap_or_default()
}

/// Whether a property of this name usually holds a word, not a sentence.
pub(super) fn is_short(name: &str) -> bool {
    const SHORT_NAMES: [&str; 12] = [
        "label",
        "topic",
        "category",
        "class",
        "name",
        "tag",
        "tags",
        "keyword",
        "keywords",
        "language",
        "sentiment",
        "title",
    ];
    SHORT_NAMES.contains(&name)
}

/// A word of `text` that says something, lower case; which one `throw` decides.
pub(super) fn word(text: &str, throw: u64) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= LONG_WORD)
        .map(str::to_lowercase)
        .collect();
    let count = u64::try_from(words.len()).unwrap_or(u64::MAX).max(1);
    let index = usize::try_from(throw % count).unwrap_or(0);
    words.get(index).cloned().unwrap_or_else(|| "general".into())
}

/// The first words of `text`; never empty.
pub(super) fn sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(WORDS + 1).collect();
    match words.as_slice() {
        [] => "Nothing was said.".into(),
        [few @ .., _] if words.len() > WORDS => format!("{} …", few.join(" ")),
        all => all.join(" "),
    }
}

/// `text` repeated or cut so that it has at least `least` and at most `most` characters.
pub(super) fn sized(text: &str, least: usize, most: usize) -> String {
    let least = least.min(most).min(100_000);
    let mut sized = text.to_owned();
    while sized.chars().count() < least {
        sized.push(' ');
        sized.push_str(text);
    }
    sized.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn about(data: Value) -> String {
        subject(data.as_object().unwrap())
    }

    #[test]
    fn the_subject_is_what_the_prompt_ends_with() {
        let prompt = "Summarise in one sentence.\nReview: Great screen, weak battery.\n";
        assert_eq!(about(json!({"prompt": prompt})), "Great screen, weak battery.");
        let talk = json!({"messages": [{"role": "system", "content": "Be brief"},
            {"role": "user", "content": "What is a qubit?"}]});
        assert_eq!(about(talk), "What is a qubit?");
        assert_eq!(about(json!({"a": [1, {"b": "deep down"}], "c": "up"})), "deep down");
        assert_eq!(about(json!({"n": 1})), "");
    }

    #[test]
    fn words_and_sentences_are_never_empty() {
        assert_eq!(word("a b c", 7), "general");
        assert_eq!(word("Écran superbe", 0), "écran");
        assert_eq!(sentence(" \n "), "Nothing was said.");
        assert_eq!(sentence("one two"), "one two");
        let long = "w ".repeat(40);
        assert_eq!(sentence(&long).split(' ').filter(|w| *w == "w").count(), WORDS);
    }

    #[test]
    fn a_sized_text_keeps_its_bounds_by_characters() {
        assert_eq!(sized("é", 5, 10), "é é é");
        assert_eq!(sized("écran", 0, 2), "éc");
        assert_eq!(sized("word", 9, 3), "wor");
    }
}
