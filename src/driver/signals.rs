//! Signals that ask a run to stop.
//!
//! The first lets it collect what is open, the second leaves at once; after both, nothing is
//! lost, because whatever matters was journaled before it was acted on.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many signals are held for a loop that is busy: the third says nothing new.
const HELD: usize = 2;

/// A wish to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A request to end.
    Terminate,
}

impl Signal {
    /// The exit code of a program that this signal ended.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Listens to the signals of this process from now on.
///
/// # Errors
/// When the system does not allow it.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(HELD);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let listener = async move {
        loop {
            let signal = tokio::select! {
                Some(()) = interrupts.recv() => Signal::Interrupt,
                Some(()) = terminations.recv() => Signal::Terminate,
                else => break,
            };
            // A full queue holds two signals already, and two say everything.
            if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(signal) {
                break;
            }
        }
    };
    drop(tokio::spawn(listener));
    Ok(receiver)
}
