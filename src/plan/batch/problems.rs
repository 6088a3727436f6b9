//! Problems of items, few of each kind: what is wrong in one row is often wrong in all.

use super::{MAX_ALIKE, MAX_BAD_ROWS};
use crate::pipeline::Problem;

/// Problems of items, few of each kind.
#[derive(Default)]
pub(super) struct Problems {
    kept: Vec<Problem>,
    seen: usize,
}

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.seen += 1;
        let alike = self.kept.iter().filter(|kept| {
            kept.code == problem.code && kept.span == problem.span && kept.file == problem.file
        });
        if alike.count() < MAX_ALIKE {
            self.kept.push(problem);
        }
    }

    pub(super) fn push_all(&mut self, problem: Problem) {
        self.seen += 1;
        self.kept.push(problem);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.seen >= MAX_BAD_ROWS
    }

    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.kept
    }
}
