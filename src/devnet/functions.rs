//! What a built-in provider does with a task: the devnet's stand-ins for known sources.
//!
//! Each function takes the `data` object of a task's config, as a handler of `ogpu.service`
//! does, and returns the output in the shape that the source of that name has on the network
//! (protocol.md, section 9). All of it follows from seed and data. Where the real container
//! would answer 404 or 422, or its handler would raise, there is no output: the caller stays
//! silent, and the task ends by expiry.

use std::io::Cursor;
use std::time::Duration;

use alloy::primitives::keccak256;
use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::faults::{Concern, Dice};
use super::{fit, words};

/// The longest that `sleep` sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The side of a made-up picture, in pixels.
const PICTURE_SIDE: u32 = 16;

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Returns its data.
    Echo,
    /// Answers the last of `messages`: `{role, content}`.
    TextToText,
    /// An object that fits the step's schema, or `{text}`.
    Chat,
    /// The same, for pictures.
    Classify,
    /// Counts what it was given: `{result: {..}}`.
    ProcessData,
    /// A model's verdict on `input`: `{result: {..}}`.
    Inference,
    /// A small picture for `prompt`: `{image_base64}`.
    TextToImage,
    /// Waits for `ms` milliseconds, then returns its data.
    Sleep,
    /// Raises: attempted, then nothing.
    Fail,
    /// Is never even attempted.
    Silent,
    /// Returns an output of the wrong types.
    Wrong,
}

impl Function {
    /// The function of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "text2text" => Self::TextToText,
            "chat" => Self::Chat,
            "classify" => Self::Classify,
            "process_data" => Self::ProcessData,
            "inference" => Self::Inference,
            "text2image" => Self::TextToImage,
            "sleep" => Self::Sleep,
            "fail" => Self::Fail,
            "silent" => Self::Silent,
            "wrong" => Self::Wrong,
            _ => return None,
        })
    }

    /// Whether every source has it: the ones that tests and trials of failures use.
    pub const fn is_everywhere(self) -> bool {
        matches!(self, Self::Sleep | Self::Fail | Self::Silent | Self::Wrong)
    }
}

/// A source that every devnet has from its first block (cli.md, section 3.15).
#[derive(Clone, Copy, Debug)]
pub struct BuiltinSource {
    /// What pipelines call it, behind `builtin:`.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The functions that it exposes.
    pub functions: &'static [Function],
    /// Whether the contract confirms and pays the first response by itself.
    pub first_response: bool,
    /// The least payment of a task, in wei.
    pub min_payment: u128,
    /// How long a task may live, in seconds.
    pub max_expiry: u64,
}

/// 0.001 coins.
const MILLI_COIN: u128 = 1_000_000_000_000_000;

/// All built-in sources, in the order in which they are published.
pub const BUILTIN_SOURCES: [BuiltinSource; 4] = [
    BuiltinSource {
        name: "echo",
        description: "Returns the data of the task.",
        functions: &[Function::Echo],
        first_response: true,
        min_payment: MILLI_COIN,
        max_expiry: 86_400,
    },
    BuiltinSource {
        name: "llm",
        description: "Stands in for a language model.",
        functions: &[Function::TextToText, Function::Chat, Function::ProcessData],
        first_response: false,
        min_payment: MILLI_COIN,
        max_expiry: 86_400,
    },
    BuiltinSource {
        name: "vision",
        description: "Stands in for a model that reads and makes pictures.",
        functions: &[Function::Classify, Function::TextToImage],
        first_response: false,
        min_payment: MILLI_COIN,
        max_expiry: 86_400,
    },
    BuiltinSource {
        name: "hf",
        description: "Stands in for a Hugging Face model.",
        functions: &[Function::Inference],
        first_response: true,
        min_payment: MILLI_COIN,
        max_expiry: 86_400,
    },
];

/// The parts of a task's config that a provider reads.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskConfig {
    /// Which handler to call.
    pub function: String,
    /// What the handler gets; extras and tag never reach it.
    pub data: Map<String, Value>,
}

/// Why there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The config is not an object with a `function_name`.
    BadConfig,
    /// The source has no such function: 404.
    UnknownFunction,
    /// The data does not fit the handler's model: 422.
    BadData,
    /// The handler raised.
    Raised,
    /// Nobody even attempts the task.
    NotAttempted,
}

impl TaskConfig {
    /// Reads the pinned bytes of a config.
    ///
    /// # Errors
    /// [`Refusal::BadConfig`] when they are not JSON or not of the form of protocol.md,
    /// section 7; [`Refusal::BadData`] when `data` is not an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let config: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::BadConfig)?;
        let function = config.get("function_name").and_then(Value::as_str);
        let function = function.ok_or(Refusal::BadConfig)?.to_owned();
        let data = config.get("data").and_then(Value::as_object).cloned();
        Ok(Self { function, data: data.ok_or(Refusal::BadData)? })
    }
}

/// What a function made of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The output.
    pub output: Value,
    /// How long the function itself took, besides the provider's latency.
    pub took: Duration,
}

/// Does the work of `config` at a source that offers `functions`; empty means all of them.
///
/// `schema` is what the step that made the task accepts, if it said so; only `chat` and
/// `classify` look at it.
///
/// # Errors
/// Says why there is nothing to respond with.
pub fn work(
    config: &TaskConfig,
    functions: &[Function],
    schema: Option<&Value>,
    seed: u64,
) -> Result<Work, Refusal> {
    let function = Function::named(&config.function).ok_or(Refusal::UnknownFunction)?;
    let offered = functions.is_empty() || functions.contains(&function);
    if !offered && !function.is_everywhere() {
        return Err(Refusal::UnknownFunction);
    }
    let data = &config.data;
    let dice = Dice::new(seed, Concern::Output);
    let output = match function {
        Function::Echo => Value::Object(data.clone()),
        Function::TextToText => text_to_text(data)?,
        Function::Chat | Function::Classify => fitted(data, schema, keyed(dice, data)),
        Function::ProcessData => process_data(data),
        Function::Inference => inference(data, keyed(dice, data))?,
        Function::TextToImage => text_to_image(data, dice)?,
        Function::Sleep => return sleep(data),
        Function::Fail => return Err(Refusal::Raised),
        Function::Silent => return Err(Refusal::NotAttempted),
        Function::Wrong => wrong(&Value::Object(data.clone())),
    };
    Ok(Work { output, took: Duration::ZERO })
}

/// A stream of its own for these data.
fn keyed(dice: Dice, data: &Map<String, Value>) -> Dice {
    Dice::new(dice.roll(&digest(data)), Concern::Output)
}

fn digest(data: &Map<String, Value>) -> [u8; 32] {
    let text = serde_json::to_vec(data).expect("a JSON value can be written");
    keccak256(text).0
}

fn text_to_text(data: &Map<String, Value>) -> Result<Value, Refusal> {
    let messages = data.get("messages").and_then(Value::as_array).ok_or(Refusal::BadData)?;
    let is_text = |message: &Value, name: &str| message.get(name).is_some_and(Value::is_string);
    let well_formed = |message: &Value| is_text(message, "role") && is_text(message, "content");
    if messages.is_empty() || !messages.iter().all(well_formed) {
        return Err(Refusal::BadData);
    }
    let about = words::sentence(&words::subject(data));
    let turns = messages.len();
    let plural = if turns == 1 { "message" } else { "messages" };
    let content = format!("You said: {about} ({turns} {plural}, read by the devnet.)");
    Ok(json!({"role": "assistant", "content": content}))
}

fn fitted(data: &Map<String, Value>, schema: Option<&Value>, dice: Dice) -> Value {
    match schema {
        Some(schema) => fit::fit(schema, data, dice),
        None => json!({"text": words::sentence(&words::subject(data))}),
    }
}

fn process_data(data: &Map<String, Value>) -> Value {
    let text = words::subject(data);
    json!({"result": {
        "fields": data.len(),
        "words": text.split_whitespace().count(),
        "characters": text.chars().count(),
        "text": words::sentence(&text),
    }})
}

/// As the container does it: text or an object comes in, a list is refused, and what the model
/// says is wrapped (protocol.md, section 9).
fn inference(data: &Map<String, Value>, dice: Dice) -> Result<Value, Refusal> {
    let input_fits = data.get("input").is_some_and(|v| v.is_string() || v.is_object());
    let args_fit = data.get("args").is_none_or(Value::is_object);
    if !input_fits || !args_fit {
        return Err(Refusal::BadData);
    }
    let label = if dice.below(2, b"label") == 0 { "POSITIVE" } else { "NEGATIVE" };
    let score = 67 + dice.below(33, b"score");
    let score = f64::from(u32::try_from(score).unwrap_or(67)) / 100.0;
    Ok(json!({"result": {"output": [{"label": label, "score": score}]}}))
}

fn text_to_image(data: &Map<String, Value>, dice: Dice) -> Result<Value, Refusal> {
    let prompt = data.get("prompt").and_then(Value::as_str).ok_or(Refusal::BadData)?;
    let picture = picture(&dice.bytes(prompt.as_bytes()));
    Ok(json!({"image_base64": base64::engine::general_purpose::STANDARD.encode(picture)}))
}

/// A PNG of rings in colours that `throw` decides.
fn picture(throw: &[u8; 32]) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..PICTURE_SIDE {
        for x in 0..PICTURE_SIDE {
            let off = |at: u32| at.abs_diff(PICTURE_SIDE / 2);
            let ring = usize::try_from(off(x).max(off(y))).unwrap_or(0);
            pixels.extend(throw.iter().skip(ring * 3).take(3));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut bytes), PICTURE_SIDE, PICTURE_SIDE);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("memory takes a PNG header");
    writer.write_image_data(&pixels).expect("there are as many pixels as the header says");
    writer.finish().expect("memory takes the end of a PNG");
    bytes
}

fn sleep(data: &Map<String, Value>) -> Result<Work, Refusal> {
    let millis = data.get("ms").and_then(Value::as_u64).ok_or(Refusal::BadData)?;
    let took = Duration::from_millis(millis).min(LONGEST_SLEEP);
    Ok(Work { output: Value::Object(data.clone()), took })
}

/// The output with every field of another type: it fits no schema that the right one fits.
pub fn wrong(output: &Value) -> Value {
    let bent = |value: &Value| match value {
        Value::Number(_) => json!("five"),
        Value::String(_) => json!(0),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => json!("wrong"),
    };
    match output {
        Value::Object(map) if !map.is_empty() => {
            map.iter().map(|(name, value)| (name.clone(), bent(value))).collect()
        }
        Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => json!({"wrong": true}),
    }
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
