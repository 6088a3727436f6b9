//! How large a world is searched.

use super::state::Faults;

/// How a source pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Responses are left out: a task is done once its publication is final.
    None,
    /// The client confirms one response.
    Manual,
    /// The first response is paid, whatever it holds.
    First,
}

/// The bounds of one search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub tasks: u8,
    /// How often a task may be published anew once a round is closed, the first time included.
    pub rounds: u8,
    pub nonces: u8,
    /// How many versions of a publication are signed at most: 1 or 2.
    pub versions: u8,
    /// How many slots may be open at once.
    pub window: u8,
    pub delivery: Delivery,
    pub responses: u8,
    pub cancels: bool,
    pub faults: Faults,
}

impl Bounds {
    /// Two tasks that are published, bumped and canceled, without faults.
    pub(super) const SLOTS: Self = Self {
        tasks: 2,
        rounds: 1,
        nonces: 3,
        versions: 2,
        window: 5,
        delivery: Delivery::None,
        responses: 0,
        cancels: true,
        faults: Faults { foreign: 0, reverts: 0, reorgs: 0, crashes: 0, takeovers: 0, copies: 0 },
    };

    /// One task of one version whose response is confirmed, without faults.
    pub(super) const RUNS: Self = Self {
        tasks: 1,
        versions: 1,
        delivery: Delivery::Manual,
        responses: 1,
        cancels: false,
        ..Self::SLOTS
    };
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tasks, rounds, nonces, versions, window, delivery, responses, cancels, faults } =
            self;
        write!(f, "{tasks} tasks, {rounds} rounds, {nonces} nonces, {versions} versions, ")?;
        write!(f, "window {window}, delivery {delivery:?}, {responses} responses, ")?;
        write!(f, "cancels {cancels}, {faults:?}")
    }
}
