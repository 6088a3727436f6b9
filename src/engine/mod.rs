//! What happens next: the pure state machine of a run.

pub mod effect;
pub mod event;
pub mod input;

pub use effect::{Effect, EffectKey, Window};
pub use event::{
    Event, Expansion, FailReason, ItemEntry, ItemFate, Offer, OpenSlot, OpenVersion, Outcome,
    RunHeader, RunOutcome, SendNote, SlotEnd, StepEnd, Timer, Verdict,
};
pub use input::{Input, PinFailure};
