//! The proof that a fact is on disk: a type that only an append can make.

/// A value that the journal holds, written and synced.
///
/// The field is private and the constructor is visible to the store alone, so holding one proves
/// that an append returned. The sender takes nothing else: bytes that are not in the journal
/// cannot be broadcast (architecture.md, I1; safety.md, S2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// Marks a value that an append has just made durable.
    pub(in crate::store) const fn new(value: T) -> Self {
        Self(value)
    }

    /// A value that nobody wrote anywhere, for tests of those who take durable ones.
    #[cfg(test)]
    pub(crate) const fn assumed(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }
}
