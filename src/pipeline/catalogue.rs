//! Every code that ogflow prints, with what it finds and a paragraph for `ogflow explain`.

use std::fmt;
use std::str::FromStr;

use super::problem::Severity;

/// What is known about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// A paragraph: why it is refused and what to do.
    pub text: &'static str,
}

macro_rules! codes {
    ($($code:ident $title:literal $text:literal)*) => {
        /// A code that stays the same across versions: `E` stops a run, `W` does not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The code as printed.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// What is known about the code.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$code => Entry { code: self, title: $title, text: $text },)*
                }
            }
        }
    };
}

impl Code {
    /// `E` is an error, `W` a warning.
    pub const fn severity(self) -> Severity {
        match self.as_str().as_bytes()[0] {
            b'W' => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not one of the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such code")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    /// Reads a code in either case.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownCode)
    }
}

/// What `ogflow explain` says about a code, or `None` if there is no such code.
pub fn explain(code: &str) -> Option<Entry> {
    code.parse::<Code>().ok().map(Code::entry)
}

codes! {
    E0101 "unquoted `{{`"
        "In YAML a `{` at the start of a value opens a map, so `{{ x }}` without quotes is not \
         text. Put the whole value into double quotes: `\"{{ x }}\"`. Text that runs over several \
         lines can use a block scalar (`|`) instead."
    E0102 "not valid YAML"
        "The file could not be read as YAML 1.2, or is empty or not UTF-8. The mark shows where \
         reading stopped; the mistake is there or just before it, often a missing quote, bracket \
         or wrong indentation."
    E0103 "duplicate key"
        "A map has the same key twice. YAML readers differ in which one wins, so neither does: \
         remove or rename one of them."
    E0104 "tab used as indentation"
        "YAML allows only blanks for indentation. Replace the tab by blanks."
    E0105 "`: ` or ` #` inside plain text"
        "Plain text ends at a `: `, which starts a map value, and at a ` #`, which starts a \
         comment. Put the text into quotes or into a block scalar."
    E0106 "a YAML 1.1 boolean word"
        "Some readers take `yes`, `no`, `on`, `off`, `y` and `n` for booleans, others for text. \
         Write `true` or `false`, or put quotes around it if text is meant."
    E0107 "over a size, depth or alias budget"
        "A pipeline file may have up to 1 MiB of text, 64 levels and 100,000 values with every \
         alias written out. Larger data belongs into an item file, read by `foreach`."
    E0201 "unknown key"
        "The language does not know this key at this place. A misspelt key would otherwise be \
         ignored in silence, so it is an error."
    E0202 "value of the wrong type"
        "The key wants another type: text, a number, `true` or `false`, a list or a map. Numbers \
         above 64 bits, `.nan` and `.inf` have no place in JSON; put quotes around them."
    E0203 "keys that exclude each other"
        "Two keys at this place contradict each other. Remove one."
    E0204 "a required key is missing"
        "A task needs a source, a function and input data; some maps need a key of their own. Add \
         it, or set it under `defaults` where that is allowed."
    E0205 "bad name"
        "Steps, params, aliases and inputs are `[a-z][a-z0-9_]*`, a pipeline or template is \
         `[a-z][a-z0-9-]{0,62}`, a secret is `[A-Z][A-Z0-9_]*`. Names end up in file names, keys \
         and expressions, so they stay plain."
    E0206 "bad amount of money"
        "Money is a number, a blank and a unit: `0.01 OGPU`, `5 gwei`, `10_000 wei`. It has no \
         more decimals than the unit (18, 9, 0), and a price is greater than 0. There is no \
         default unit, because a wrong one costs a factor of a billion."
    E0207 "bad duration or rate"
        "A duration is `200ms`, `90s`, `30m`, `1h30m` or `2d` and longer than nothing; a rate is \
         `5/s`, `100/m` or `1000/h`."
    E0208 "number or percent out of range"
        "The number is outside of what the key allows; the message says the range. Percents are \
         written `5%` and lie between 0 and 100."
    E0209 "bad address"
        "An address is quoted text: `0x` and 40 hex digits, all in one case or with a right \
         checksum. `builtin:NAME` names a source of the devnet. Without quotes YAML reads `0x...` \
         as a number."
    E0210 "unknown word"
        "The key takes one of a few words; the help lists them."
    E0211 "version or kind"
        "Each file starts with `version: 1`. `kind` is `pipeline` or `template` and has to fit \
         the use."
    E0212 "invalid JSON Schema"
        "The schema itself is not valid JSON Schema, or refers to something outside of the file."
    E0214 "not supported yet"
        "The key belongs to the language but this version of ogflow does not act on it yet. It is \
         refused instead of ignored, because ignoring it could cost money."
    E0301 "unknown step"
        "An expression or `needs` names a step that the pipeline does not have."
    E0302 "unknown name"
        "An expression or key names a param, source alias or template input that is not declared."
    E0303 "unknown column"
        "The item file has no column of that name. The first line of a CSV or TSV file names its \
         columns."
    E0304 "steps depend on each other in a circle"
        "Each step of the circle waits for the next, so none could ever start. The message shows \
         the whole circle; break it at one place."
    E0305 "`output` of a fan-out step"
        "A step with `foreach` has many outputs. Use `.outputs` or `.results`, which are lists."
    E0306 "duplicate item key"
        "Two items of one step have the same key. A task is known by its key across runs, so each \
         may occur once. The message names both rows."
    E0307 "unreadable file or row"
        "A file that the pipeline names is missing or cannot be read, or one of its rows is \
         broken. The message names the row."
    E0308 "cell of the wrong type"
        "`foreach.types` promises a type that this cell does not have. An empty cell is null \
         unless its type is `string`."
    E0309 "bad item key"
        "An item key is text or an integer, 1 to 200 bytes long, without control characters."
    E0310 "more items than `max_items`"
        "The step would make more tasks than `max_items` allows. Nothing of it is published."
    E0311 "template input"
        "The value given to a template's input is missing, unknown or does not fit the input's \
         schema."
    E0312 "no address for this network"
        "The source alias has addresses for some networks but not for the one in use. Add it \
         under `sources`, or choose another `--network`."
    E0313 "expression syntax or forbidden construct"
        "The expression cannot be read, or uses something that pipelines leave out: `include`, \
         `import`, `extends`, `macro`, the operator `~`, the filters `safe`, `escape`, `pprint` \
         and `format`, or braces where a key takes a bare expression."
    E0314 "name not visible here"
        "The name exists but not at this place: `item` needs `foreach`, `output` exists only in \
         `accept`, a template sees only its `inputs`."
    E0315 "bad param value"
        "A param given on the command line or as default does not fit its schema, or a param \
         without default is not given. From the command line this is exit code 2."
    E0401 "no source at the address"
        "The chain has no OpenGPU source contract at this address. Check the address and the \
         network."
    E0402 "source inactive"
        "The owner has switched this source off for good. Tasks for it would be refused; choose \
         another source."
    E0403 "the signer may not publish to it"
        "A simulated publication was refused by the contract. The message holds what the chain \
         said."
    E0412 "payment is below the minimum of the source"
        "The contract refuses such a task. Nothing is raised silently: write a higher `payment`, \
         or `minimum` to take what the source asks for."
    E0413 "`expires` is longer than the source allows"
        "Each source has a longest life for its tasks. Shorten `expires`."
    E0414 "needs a `MANUAL_CONFIRMATION` source"
        "A FIRST_RESPONSE source pays the first response by itself, so there is nothing to choose \
         or confirm."
    W0420 "the source pays before the output can be checked"
        "A FIRST_RESPONSE source pays by itself. `accept` can then only mark an output as \
         rejected and paid."
    W0421 "no provider is registered"
        "Nobody is registered for this source now. Tasks may expire unanswered; their payment \
         then comes back to the vault."
    E0501 "secret in public data"
        "Inputs of tasks are stored on public IPFS, where anybody can read them forever. Secrets \
         are usable only in `notify.headers`."
    E0502 "`env()` outside of a param's default"
        "The environment may be read only by the default of a param, where it is shown by `plan` \
         and stored with the run."
    E0503 "an output reaches money, a source or a path"
        "What a provider sent may become data of a later task but never its price, source, expiry \
         or a file path."
    E0504 "path outside of the project"
        "Files that a pipeline names stay inside the project folder, symbolic links included."
    E0505 "webhook is not https"
        "Notifications carry the state of a run and a secret header, so they go over https only."
    W0601 "no budget"
        "The pipeline has no `budget.max` and the network's money is real. Set it, or run with \
         `--max-spend`."
    W0602 "fan-out of unknown width without `max_items`"
        "How many tasks the step makes is known only at run time, so `plan` cannot print a \
         maximum."
    W0603 "`max_payment` is below `payment`"
        "A raised payment could never be used, since even the first is above the ceiling."
    W0604 "payment or expiry disagrees with `complexity`"
        "`complexity` stands for a range of payments and durations: simple 0.001-0.005 OGPU and \
         under 5 minutes, medium 0.005-0.02 and 5-30 minutes, complex 0.02-0.1 and 30 minutes or \
         more."
    W0605 "`mode: tasks` multiplies the cost"
        "Each copy is a task of its own and paid by itself."
    W0606 "identical responses may be refused"
        "A task may refuse a second response that is the same byte by byte, so votes on equal \
         outputs can stay short."
    W0607 "a retry buys the item again"
        "The source pays rejected outputs as well, so a retry after `rejected` pays twice for one \
         item."
    W0608 "payment left out"
        "Without `payment` and `complexity` a task offers 0.01 OGPU."
    E0701 "list, object or null printed into text"
        "Only text, numbers and booleans can be printed into text. Use `| tojson` or `| join(', \
         ')`, or make the expression the whole value to keep its type."
    E0702 "undefined"
        "The name or property does not exist. Ask with `| default(x)` or `is defined` where it \
         may be absent."
    E0703 "expression takes too long"
        "An expression may take a million steps; a loop over a large list can need more."
    E0704 "result too large"
        "A text may have up to 1 MiB, the config of one task up to 8 MiB."
    E0705 "expression of the wrong type"
        "The expression gives another type than its key needs: `if`, `filter` and `accept.when` \
         need true or false, `foreach` needs a list."
    W0710 "`index` in data"
        "The task then depends on its position, so inserting a row changes the tasks behind it \
         and nothing of them can be reused."
    W0711 "a block scalar that is only `{{ }}` stays text"
        "Block scalars are always text. Write the value on one line, in quotes, to keep its type."
    E0801 "no signer"
        "Publishing needs a key: `--account NAME`, or OGFLOW_PRIVATE_KEY in the environment. The \
         devnet has one built in."
    E0802 "a question that cannot be asked"
        "A question would be asked but there is no terminal, or `--no-input` is set. The message \
         names the flag that answers it."
    E0803 "`--yes` without a cap"
        "Where money is real, `--yes` needs `--max-spend` or `budget.max`."
    E0804 "secret missing"
        "The pipeline names a secret that is neither in the environment nor in `--secret-file`."
    E0811 "vault balance too low"
        "Payments come from the vault. `ogflow vault deposit` moves coins from the wallet into \
         it."
    E0812 "wallet balance too low for gas"
        "Gas comes from the wallet, not from the vault."
    E0821 "the budget would be exceeded"
        "The plan costs more than the cap, or the cap was reached with `on_exceed: stop`."
    E0831 "the plan is stale"
        "Something that the plan was made from has changed; the message names it. Plan again."
    E0901 "node unreachable"
        "The RPC endpoint did not reply after several tries. Nothing is lost: `ogflow resume` \
         goes on."
    E0902 "pin service unreachable"
        "The config of a task could not be stored. Nothing was paid for it; `ogflow resume` goes \
         on."
    E0903 "gateway unreachable"
        "An output could not be fetched. It stays on chain; `ogflow resume` tries again."
    E0911 "wrong chain"
        "The node serves another chain than the network's profile says. Nothing was signed."
    E0912 "contract code changed"
        "The code at one of the network's addresses is not the expected one. Nothing was signed. \
         Where the change is known and well, `ogflow resume RUN --accept-code HASH` goes on."
    E0913 "wallet used elsewhere"
        "A transaction of this wallet is on the chain that this project did not send. Publishing \
         stops, since nonces would collide; what is open is still collected. `ogflow resume \
         --from-chain` reads what the wallet did, adopts what is this run's, and goes on."
    E0914 "journal corrupt or older than the chain"
        "The journal does not fit itself or the chain. Restore `.ogflow` from where it was \
         copied, or let `ogflow resume --from-chain` read from the chain what it lacks."
    E0915 "state folder on a network file system"
        "Locks and synced writes are not reliable there. Move the project to a local disk."
    E0921 "locked by another process"
        "Another ogflow process uses this run or wallet. Wait for it or stop it."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_in_whole_sentences() {
        for code in Code::ALL {
            let entry = code.entry();
            assert!(entry.text.ends_with('.') && entry.text.len() > 40, "{code}: {}", entry.text);
            assert!(!entry.title.ends_with('.'), "{code}");
            assert!(!entry.text.contains("  "), "{code}");
        }
    }

    #[test]
    fn codes_are_unique_sorted_and_found_in_either_case() {
        let digits: Vec<_> = Code::ALL.iter().map(|code| &code.as_str()[1..]).collect();
        assert!(digits.windows(2).all(|pair| pair[0] < pair[1]), "{digits:?}");
        assert_eq!("e0412".parse(), Ok(Code::E0412));
        assert_eq!("E0213".parse::<Code>(), Err(UnknownCode));
        assert_eq!(explain("W0602").map(|entry| entry.code), Some(Code::W0602));
        assert_eq!(explain("nonsense"), None);
    }

    #[test]
    fn the_letter_decides_the_severity() {
        assert_eq!(Code::E0101.severity(), Severity::Error);
        assert_eq!(Code::W0420.severity(), Severity::Warning);
    }
}
